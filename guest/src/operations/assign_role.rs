use schemars::JsonSchema;
use serde::Deserialize;

use super::define_role::unknown_role;
use super::get_user::UserView;
use super::{Effect, Operation, Toolset};
use crate::dispatch::target::Target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::ROLES_WRITE;
use crate::domain::accounts::role::RoleName;
use crate::domain::accounts::username::Username;
use crate::domain::audit::{Chain, Event};
use crate::error::{AuthError, ErrorKind, Result};
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Every permission check reads all roles of a user, so their number is bounded.
pub(super) const MAX_ROLES: usize = 32;

/// Assigns a role to a user, who has its permissions from then on.
///
/// Returns the user; assigning a role again changes nothing. Requires
/// `user-auth:roles:write`; neither the role nor the user may have permissions that the
/// caller lacks. Only the operator of the host is exempt, and so appoints the first
/// `admin`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRole {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
    /// The name of the role.
    pub role: RoleName,
}

impl Operation for AssignRole {
    const NAME: &'static str = "assign_role";
    const TITLE: &'static str = "Assign a role";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Widens;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            if authority::require_role(&self.role, call)?.is_none() {
                return Err(unknown_role(&self.role));
            }
            let (found, head) = target.read(&call.ports)?;
            authority::require_governed(&found.value, call)?;
            let mut account = found.value.clone();
            if account.roles.contains(&self.role) {
                return Ok(Race::Won(account));
            }
            if account.roles.len() >= MAX_ROLES {
                return Err(
                    AuthError::new(ErrorKind::Application, "The user has too many roles")
                        .detail("max_roles", MAX_ROLES)
                        .detail("action", "revoke one first"),
                );
            }
            account.roles.push(self.role.clone());
            account.roles.sort_unstable();
            let event = Event::success(Self::NAME).detail("role", self.role.as_str());
            let mut batch = Batch::new();
            batch.change(&found, &account);
            Chain::at(account.user_id, head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
