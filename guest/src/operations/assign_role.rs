use schemars::JsonSchema;
use serde::Deserialize;

use super::define_role::unknown_role;
use super::get_user::UserView;
use super::target::Target;
use super::{Effect, Operation};
use crate::domain::account::Account;
use crate::domain::actor::{self, Requirement};
use crate::domain::audit::{Chain, Event};
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::permission::{Grant, ROLES_WRITE};
use crate::domain::records::{self, Batch};
use crate::domain::role::{Role, RoleName};
use crate::domain::username::Username;
use crate::error::{AuthError, Kind, Result};

/// What a user may do is looked up role by role at every check.
pub(super) const MAX_ROLES: usize = 32;

/// Assigns a role to a user, who has its permissions from then on. Assigning it
/// again changes nothing. Nobody can assign a role that permits more than they
/// may do themselves; who runs the host can assign any, and so makes the first
/// `admin`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRole {
    /// Whose it shall be; or give the username.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// Whose it shall be; or give the user_id.
    #[serde(default)]
    pub username: Option<Username>,
    /// The name of the role.
    pub role: RoleName,
}

impl Operation for AssignRole {
    const NAME: &'static str = "assign_role";
    const TITLE: &'static str = "Assign a role";
    const EFFECT: Effect = Effect::Adds;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_WRITE);
    type Output = UserView;

    fn run(self, context: &Context) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = records::settle(|| {
            let grants = match defined_grants(&self.role, context)? {
                Some(grants) => grants,
                None => return Err(unknown_role(&self.role)),
            };
            actor::require_covered(&context.actor, &grants, context)?;
            let (found, head) = target.read(&context.ports)?;
            let mut account = found.value;
            if account.roles.contains(&self.role) {
                return Ok(Some(account));
            }
            if account.roles.len() >= MAX_ROLES {
                return Err(
                    AuthError::new(Kind::Application, "The user has too many roles")
                        .detail("max_roles", MAX_ROLES)
                        .detail("action", "revoke one first"),
                );
            }
            account.roles.push(self.role.clone());
            account.roles.sort_unstable();
            let event = Event::success(Self::NAME).detail("role", self.role.as_str());
            let mut batch = Batch::new();
            batch.replace(Account::key(account.user_id), &found.version, &account);
            Chain::at(account.user_id, head).append(event, &mut batch, context)?;
            Ok(batch.commit(context)?.then_some(account))
        })?;
        Ok(UserView::from(account))
    }
}

/// What this role grants; `None`: it is not defined.
pub fn defined_grants(role: &RoleName, context: &Context) -> Result<Option<Vec<Grant>>> {
    if role.is_admin() {
        return Ok(Some(vec![Grant::everything()]));
    }
    let (role, _) = Role::read(role, &context.ports)?;
    Ok(role.map(|role| role.value.permissions))
}
