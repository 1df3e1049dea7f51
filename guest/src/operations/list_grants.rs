use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::{Permission, USERS_READ};
use crate::domain::accounts::username::Username;
use crate::domain::clients::client::RegistrationKind;
use crate::domain::clients::client_id::ClientId;
use crate::domain::delegations::grant::{self, Grant};
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::display_text::DisplayText;
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::Result;
use crate::types::id::Id;

/// Lists what an account lets clients do: a grant for each time that its owner has signed
/// in by browser and agreed. `revoke_grant` takes it away.
///
/// A grant is listed until it ends. The caller's own grants require a session, those of
/// another account `user-auth:users:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListGrants {
    /// The account whose grants to list, by id; the caller's own by default.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account whose grants to list, by user name; the caller's own by default.
    #[serde(default)]
    pub username: Option<Username>,
    /// The `next` of the previous page.
    #[serde(default)]
    pub after: Option<String>,
}

/// A page of grants.
#[derive(Serialize, JsonSchema)]
pub struct Grants {
    /// The grants, in no particular order.
    pub grants: Vec<GrantView>,
    /// The `after` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What an account lets one client do at one resource server. Times are in RFC 3339.
#[derive(Serialize, JsonSchema)]
pub struct GrantView {
    /// The id of the grant, which is the `sid` of its tokens.
    pub grant_id: Id,
    /// The id of the client.
    pub client_id: ClientId,
    /// The name of the client when the owner agreed.
    pub client_name: DisplayText,
    /// How the client came to be known.
    pub client_registration: RegistrationKind,
    /// The URL of the resource server.
    pub resource: ResourceUrl,
    /// The name of the resource server.
    pub resource_name: DisplayText,
    /// The scopes of the resource server that the owner agreed to.
    pub scopes: Vec<GrantedScope>,
    /// The scopes about the owner that the owner agreed to.
    pub identity: Vec<IdentityScope>,
    /// The time at which the owner agreed.
    pub granted_at: String,
    /// The time at which its tokens were last refreshed.
    pub refreshed_at: String,
    /// The time at which it ends unless it is refreshed before.
    pub idle_expires_at: String,
    /// The time at which it ends in any case.
    pub expires_at: String,
}

/// A scope that the owner of an account agreed to.
#[derive(Serialize, JsonSchema)]
pub struct GrantedScope {
    /// The name of the scope.
    pub scope: Permission,
    /// What it permits, in words; absent if the resource server no longer has the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<DisplayText>,
}

impl Operation for ListGrants {
    const NAME: &'static str = "list_grants";
    const TITLE: &'static str = "List the access of clients";
    const TOOLSET: Option<Toolset> = Some(Toolset::Clients);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(USERS_READ);
    type Output = Grants;

    fn run(self, call: &ActorCall) -> Result<Grants> {
        let username = self.username.as_ref();
        let user_id = target::subject(self.user_id, username, USERS_READ, call)?;
        let page = grant::list(user_id, self.after.as_deref(), call)?;
        Ok(Grants {
            grants: page.grants.into_iter().map(GrantView::from).collect(),
            next: page.next,
        })
    }
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> GrantView {
        let Grant {
            session,
            delegation,
            client,
            resource,
        } = grant;
        let described = |scope: Permission| {
            let mut known = resource.scopes.as_slice().iter();
            let found = known.find(|known| known.scope == scope);
            GrantedScope {
                description: found.map(|found| found.description.clone()),
                scope,
            }
        };
        GrantView {
            scopes: delegation.scopes.into_iter().map(described).collect(),
            identity: delegation.identity,
            grant_id: session.session_id,
            client_id: delegation.client_id,
            client_name: delegation.client_name,
            client_registration: client.registration_kind(),
            resource: delegation.resource,
            resource_name: resource.resource_name,
            granted_at: delegation.granted_at.to_rfc3339(),
            refreshed_at: session.refreshed_at.to_rfc3339(),
            idle_expires_at: session.idle_expires_at.to_rfc3339(),
            expires_at: session.expires_at.to_rfc3339(),
        }
    }
}
