use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Definition, Effect, Operation, TABLE, Toolset};
use crate::dispatch::target::{self, Target};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission, ROLES_READ};
use crate::domain::accounts::role::{self, Granted, RoleName};
use crate::domain::accounts::username::Username;
use crate::domain::clients::client_id::ClientId;
use crate::domain::delegations::grant;
use crate::domain::resources::resource;
use crate::error::Result;
use crate::types::id::Id;

/// Explains what a user may do: every grant with the role it comes from, and for one
/// permission why it is granted or denied, and which operations need it. With `client_id` also
/// what an agent may do for the user. Without a user it explains the caller's permissions.
///
/// The caller's own require a session, those of other users `user-auth:roles:read`. An
/// API key may be further limited by its scopes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPermissions {
    /// The user, by id; leave out both this and `username` for yourself.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; leave out both this and `user_id` for yourself.
    #[serde(default)]
    pub username: Option<Username>,
    /// The permission to explain, such as `billing:invoices:read`.
    #[serde(default)]
    pub permission: Option<Permission>,
    /// The OAuth client that acts for the user.
    #[serde(default)]
    pub client_id: Option<ClientId>,
}

/// The permissions of a user, and where they come from.
#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    /// The id of the user.
    pub user_id: Id,
    /// Every grant, role by role. Grants have effect only while the account is active.
    pub grants: Vec<GrantedBy>,
    /// What the client may do for the user at this service: what is in both its scopes and the
    /// grants. Empty if the user lets it do nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_scopes: Option<Vec<Permission>>,
    /// The explanation of the requested permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Explained>,
}

/// A grant, and the role it comes from.
#[derive(Clone, Serialize, JsonSchema)]
pub struct GrantedBy {
    /// The grant.
    pub grant: Grant,
    /// The role that contains it.
    pub role: RoleName,
}

/// The decision on one permission.
#[derive(Serialize, JsonSchema)]
pub struct Explained {
    /// The permission.
    pub permission: Permission,
    /// Whether the user has it.
    pub allowed: bool,
    /// The grants that include it.
    pub given_by: Vec<GrantedBy>,
    /// Whether the client has it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_allowed: Option<bool>,
    /// The operations of this service that require it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Needed>,
    /// The reason why it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

/// An operation that requires a permission.
#[derive(Serialize, JsonSchema)]
pub struct Needed {
    /// The name of the operation.
    pub operation: &'static str,
    /// Whether the caller's connection has it: its toolset is on, and the connection is not
    /// read-only if it changes something.
    pub offered: bool,
    /// Whether agents need the user's approval for each call.
    pub needs_approval: bool,
}

impl Operation for ExplainPermissions {
    const NAME: &'static str = "explain_permissions";
    const TITLE: &'static str = "Explain permissions";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(ROLES_READ);
    type Output = Explanation;

    fn run(self, call: &ActorCall) -> Result<Explanation> {
        let account = self.account(call)?;
        let granted = role::granted(&account.roles, &call.ports)?;
        let client_scopes = match &self.client_id {
            Some(client_id) => Some(client_scopes(&account, client_id, call)?),
            None => None,
        };
        let decision = self.permission.map(|permission| Explained {
            client_allowed: client_scopes
                .as_ref()
                .map(|scopes| scopes.contains(&permission)),
            operations: needing(&permission, call),
            ..explain(permission, &account, &granted)
        });
        Ok(Explanation {
            user_id: account.user_id,
            grants: granted.iter().flat_map(grants_by).collect(),
            client_scopes,
            decision,
        })
    }
}

impl ExplainPermissions {
    /// Returns the account to explain, if the caller may know about it.
    fn account(&self, call: &ActorCall) -> Result<Account> {
        let username = self.username.as_ref();
        let user_id = target::subject(self.user_id, username, ROLES_READ, call)?;
        let (account, _) = Target::UserId(user_id).read(&call.ports)?;
        Ok(account.value)
    }
}

/// Returns what a client may do at this service for an account, as it is now.
fn client_scopes(
    account: &Account,
    client_id: &ClientId,
    call: &ActorCall,
) -> Result<Vec<Permission>> {
    let own = resource::own_url(call.settings);
    let mut scopes: Vec<Permission> = Vec::new();
    let mut after = None;
    loop {
        let page = grant::list(account.user_id, after.as_deref(), call)?;
        for delegation in page.grants.into_iter().map(|grant| grant.delegation) {
            let is_meant =
                delegation.client_id == *client_id && Some(&delegation.resource) == own.as_ref();
            let Some(parties) = delegation.parties(call)?.filter(|_| is_meant) else {
                continue;
            };
            for scope in delegation
                .scope_now(&parties, account, &call.ports)?
                .permissions
            {
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(scopes);
        }
    }
}

/// Returns the operations that require a permission.
fn needing(permission: &Permission, call: &ActorCall) -> Vec<Needed> {
    let is_needed = |it: &&Definition| it.requires.permission() == Some(permission.as_str());
    let oauth = call.settings.oauth.as_ref();
    let needed = TABLE.iter().filter(is_needed).map(|operation| Needed {
        operation: operation.name,
        offered: operation.withheld(call.offer).is_none(),
        needs_approval: oauth.is_some_and(|oauth| {
            let permission = operation.requires.permission();
            oauth.approvals.include(operation.name, permission)
        }),
    });
    needed.collect()
}

fn grants_by(granted: &Granted) -> impl Iterator<Item = GrantedBy> {
    granted.permissions.iter().map(|grant| GrantedBy {
        grant: grant.clone(),
        role: granted.role.clone(),
    })
}

fn explain(permission: Permission, account: &Account, granted: &[Granted]) -> Explained {
    let given_by: Vec<GrantedBy> = granted
        .iter()
        .flat_map(grants_by)
        .filter(|given| given.grant.permits(&permission))
        .collect();
    let withheld = if !account.is_active() {
        Some("the account is disabled".to_owned())
    } else if account.roles.is_empty() {
        Some("the user has no role".to_owned())
    } else if given_by.is_empty() {
        let roles: Vec<&str> = account.roles.iter().map(RoleName::as_str).collect();
        Some(format!(
            "none of the user's roles grants it: {}",
            roles.join(", ")
        ))
    } else {
        None
    };
    Explained {
        permission,
        allowed: withheld.is_none(),
        given_by,
        client_allowed: None,
        operations: Vec::new(),
        withheld,
    }
}
