use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::dispatch::target::Target;
use crate::domain::access::actor::{Actor, Requirement};
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{Grant, Permission, ROLES_READ};
use crate::domain::accounts::role::{self, Granted, RoleName};
use crate::domain::accounts::username::Username;
use crate::error::Result;
use crate::types::id::Id;

/// Tells what a user may do and which role grants it; for one permission, what
/// gives it or why it is withheld. Without `user_id` and `username` it tells of
/// the caller, whom that takes a session; for others it takes the permission
/// `user-auth:roles:read`. An API key may have less than its user: its scopes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPermissions {
    /// Of whom to tell, or the username; leave out both for yourself.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Of whom to tell, or the user_id; leave out both for yourself.
    #[serde(default)]
    pub username: Option<Username>,
    /// What to explain, such as `billing:invoices:read`.
    #[serde(default)]
    pub permission: Option<Permission>,
}

/// What a user may do, and why.
#[derive(Serialize, JsonSchema)]
pub struct Explanation {
    /// Who.
    pub user_id: Id,
    /// All that is granted, role by role. It counts only while the account is
    /// active.
    pub grants: Vec<GrantedBy>,
    /// What was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Explained>,
}

/// A grant, and the role that it is from.
#[derive(Clone, Serialize, JsonSchema)]
pub struct GrantedBy {
    /// What is granted.
    pub grant: Grant,
    /// By which role.
    pub role: RoleName,
}

/// What became of one permission.
#[derive(Serialize, JsonSchema)]
pub struct Explained {
    /// Which.
    pub permission: Permission,
    /// Whether the user has it.
    pub allowed: bool,
    /// The grants that give it.
    pub given_by: Vec<GrantedBy>,
    /// Why it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

impl Operation for ExplainPermissions {
    const NAME: &'static str = "explain_permissions";
    const TITLE: &'static str = "Explain permissions";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(ROLES_READ);
    type Output = Explanation;

    fn run(self, context: &ActorContext) -> Result<Explanation> {
        let account = self.account(context)?;
        let granted = role::granted(&account.roles, &context.ports)?;
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
    /// The account to tell of, if the caller may know.
    fn account(&self, context: &ActorContext) -> Result<Account> {
        let target = match (self.user_id, self.username.clone()) {
            (None, Some(username)) if !is_own(&username, context) => {
                // Only who may know learns whether there is such a user.
                authority::require_permission(ROLES_READ, context)?;
                Target::Username(username)
            }
            (Some(_), Some(_)) => Target::new(self.user_id, self.username.clone())?,
            (user_id, _) => Target::UserId(authority::subject(user_id, ROLES_READ, context)?),
        };
        let (account, _) = target.read(&context.ports)?;
        Ok(account.value)
    }
}

fn is_own(username: &Username, context: &ActorContext) -> bool {
    matches!(context.actor(), Actor::User(session) if session.username == *username)
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
            "no role of the user grants it: {}",
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
