//! What a user lets a client do.

use serde::{Deserialize, Serialize};

use super::identity_scope::IdentityScope;
use super::token_scope::TokenScope;
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
    /// The scopes of the resource server that the user has agreed to.
    pub scopes: Vec<Permission>,
    /// What the client learns of the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<IdentityScope>,
    /// When the user has agreed.
    pub granted_at: Timestamp,
}

/// The parties of a delegation beside its user, as they are now.
pub struct Parties {
    /// The client.
    pub client: Client,
    /// The resource server.
    pub resource: Resource,
}

impl Delegation {
    /// Returns its parties, or `None` if the delegation has ended with one of them.
    pub fn parties(&self, env: &Env) -> Result<Option<Parties>> {
        // One that was deleted and is there again is another one: a resource server that was
        // defined again, or a client whose document was fetched again.
        let client = record::read::<Client>(Client::key(&self.client_id), &env.ports)?
            .filter(|client| self.granted_at >= client.value.created_at);
        let resource = Resource::find(&self.resource, env)?
            .filter(|resource| self.granted_at >= resource.created_at);
        Ok(client.zip(resource).map(|(client, resource)| Parties {
            client: client.value,
            resource,
        }))
    }

    /// Returns all that the user has agreed to.
    pub fn scope(&self) -> TokenScope {
        TokenScope {
            identity: self.identity.clone(),
            permissions: self.scopes.clone(),
        }
    }

    /// Returns the part of it that the account can still give to the client.
    pub fn scope_now(
        &self,
        Parties { client, resource }: &Parties,
        account: &Account,
        ports: &Ports,
    ) -> Result<TokenScope> {
        let available = available(client, resource, account, ports)?;
        let mut scope = self.scope();
        scope
            .permissions
            .retain(|permission| available.iter().any(|it| it.scope == *permission));
        Ok(scope)
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
