//! What a user lets a client do.

use serde::{Deserialize, Serialize};

use crate::domain::access::authority::Authority;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission};
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::domain::display_text::DisplayText;
use crate::domain::env::Env;
use crate::domain::resources::resource::{Resource, ResourceScope};
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::Result;
use crate::ports::Ports;
use crate::storage::record;
use crate::types::time::Timestamp;

/// What a user lets a client do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delegation {
    /// The client.
    pub client_id: ClientId,
    /// Its name when the user decided.
    pub client_name: DisplayText,
    /// The resource server, which is the only one that accepts the tokens.
    pub resource: ResourceUrl,
    /// The scopes that the user has agreed to.
    pub scopes: Vec<Permission>,
    /// When the user has agreed.
    pub granted_at: Timestamp,
}

impl Delegation {
    /// Reports whether client and resource server still exist: a delegation ends with
    /// either.
    pub fn is_alive(&self, env: &Env) -> Result<bool> {
        Ok(self.live_resource(env)?.is_some())
    }

    /// Returns its resource server, or `None` if the delegation has ended with its client or
    /// its resource server.
    pub fn live_resource(&self, env: &Env) -> Result<Option<Resource>> {
        if record::read::<Client>(Client::key(&self.client_id), &env.ports)?.is_none() {
            return Ok(None);
        }
        // One that was deleted and defined again is another one.
        let found = Resource::find(&self.resource, env)?;
        Ok(found.filter(|resource| self.granted_at >= resource.created_at))
    }

    /// Returns those of its scopes that the account can still give to the client.
    pub fn scopes_now(
        &self,
        client: &Client,
        resource: &Resource,
        account: &Account,
        ports: &Ports,
    ) -> Result<Vec<Permission>> {
        let available = available(client, resource, account, ports)?;
        let is_available = |scope: &&Permission| available.iter().any(|it| it.scope == **scope);
        Ok(self.scopes.iter().filter(is_available).cloned().collect())
    }
}

/// Returns the scopes of a resource server that an account can give to a client: all within
/// the bound of the client but the restricted ones that the roles of the account do not
/// permit. A client that no administrator vouches for gets no permission of this service
/// itself.
pub fn available<'a>(
    client: &Client,
    resource: &'a Resource,
    account: &Account,
    ports: &Ports,
) -> Result<Vec<&'a ResourceScope>> {
    let authority = Authority::of_another(account, None);
    let mut available = Vec::new();
    for scope in resource.scopes.as_slice() {
        let is_enough = |grant: &Grant| grant.permits(&scope.scope);
        let is_administration = !client.is_verified() && scope.scope.is_own();
        if is_administration || !client.scopes.as_slice().iter().any(is_enough) {
            continue;
        }
        if !scope.restricted || authority.allows(&is_enough, ports)? {
            available.push(scope);
        }
    }
    Ok(available)
}

/// Returns the scopes as one text (RFC 6749 section 3.3).
pub fn scope_text(scopes: &[Permission]) -> String {
    let names: Vec<&str> = scopes.iter().map(Permission::as_str).collect();
    names.join(" ")
}
