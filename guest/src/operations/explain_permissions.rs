use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission, ROLES_READ};
use crate::domain::accounts::role::{self, Granted, RoleName};
use crate::domain::accounts::username::Username;
use crate::error::Result;
use crate::types::id::Id;

/// Explains what a user may do: every grant with the role it comes from, and for one
/// permission why it is granted or denied. Without a user it explains the caller's
/// permissions.
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
}

/// The permissions of a user, and where they come from.
#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    /// The id of the user.
    pub user_id: Id,
    /// Every grant, role by role. Grants have effect only while the account is active.
    pub grants: Vec<GrantedBy>,
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
    /// The reason why it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
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
        let permission = self.permission;
        let decision = permission.map(|permission| explain(permission, &account, &granted));
        Ok(Explanation {
            user_id: account.user_id,
            grants: granted.iter().flat_map(grants_by).collect(),
            decision,
        })
    }
}

impl ExplainPermissions {
    /// Returns the account to explain, if the caller may know about it.
    fn account(&self, call: &ActorCall) -> Result<Account> {
        let target = match (self.user_id, self.username.clone()) {
            (None, Some(username)) if !is_own(&username, call) => {
                // Only callers with the permission learn whether the user exists.
                authority::require_permission(ROLES_READ, call)?;
                Target::Username(username)
            }
            (Some(_), Some(_)) => Target::new(self.user_id, self.username.clone())?,
            (user_id, _) => Target::UserId(authority::subject(user_id, ROLES_READ, call)?),
        };
        let (account, _) = target.read(&call.ports)?;
        Ok(account.value)
    }
}

fn is_own(username: &Username, call: &ActorCall) -> bool {
    matches!(call.actor(), Actor::User(session) if session.username == *username)
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
        withheld,
    }
}
