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
use crate::error::Result;
use crate::storage::batch::Batch;
use crate::storage::retry::Race;
use crate::types::id::Id;

/// Revokes a role from a user, who loses its permissions at once.
///
/// Returns the user; revoking a role that the user does not have changes nothing.
/// Requires `user-auth:roles:write`. Callers cannot revoke a role of their own, and
/// neither the role nor the user may have permissions that the caller lacks; only the
/// operator of the host is exempt.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRole {
    /// The user, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The user, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
    /// The name of the role.
    pub role: RoleName,
}

impl Operation for RevokeRole {
    const NAME: &'static str = "revoke_role";
    const TITLE: &'static str = "Revoke a role";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_WRITE);
    type Output = UserView;

    fn run(self, call: &ActorCall) -> Result<UserView> {
        let target = Target::new(self.user_id, self.username)?;
        let account = authority::retry_on_conflict(call, |call| {
            let grants = authority::require_role(&self.role, call)?;
            let governed = target.read_governed(call)?;
            let found = &governed.account;
            let mut account = found.value.clone();
            let is_held = account.roles.contains(&self.role);
            // A role may have been deleted after it was assigned.
            if grants.is_none() && !is_held {
                return Err(unknown_role(&self.role));
            }
            if !is_held {
                return Ok(Race::Won(account));
            }
            account.roles.retain(|role| *role != self.role);
            let event = Event::success(Self::NAME).detail("role", self.role.as_str());
            let mut batch = Batch::new();
            batch.change(found, &account);
            Chain::at(account.user_id, governed.head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(account))
        })?;
        Ok(UserView::from(account))
    }
}
