use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::define_role::{is_built_in, unknown_role};
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::ROLES_WRITE;
use crate::domain::accounts::role::{Role, RoleName};
use crate::domain::audit::{Chain, Event};
use crate::error::Result;
use crate::storage::batch::Batch;

/// Deletes a role, which stops granting its permissions at once.
///
/// Users keep its name, so they have the role again if it is defined again. Requires
/// `user-auth:roles:write`. The role must not permit more than the caller may do, and
/// `admin` cannot be deleted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteRole {
    /// The name of the role.
    pub role: RoleName,
}

/// The deleted role.
#[derive(Serialize, JsonSchema)]
pub struct DeletedRole {
    /// The name of the role.
    pub role: RoleName,
}

impl Operation for DeleteRole {
    const NAME: &'static str = "delete_role";
    const TITLE: &'static str = "Delete a role";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_WRITE);
    type Output = DeletedRole;

    fn run(self, call: &ActorCall) -> Result<DeletedRole> {
        if self.role.is_admin() {
            return Err(is_built_in());
        }
        authority::retry_on_conflict(call, |call| {
            let (Some(role), head) = Role::read(&self.role, &call.ports)? else {
                return Err(unknown_role(&self.role));
            };
            authority::require_covered(&role.value.permissions, call)?;
            let event = Event::success(Self::NAME).detail("role", self.role.as_str());
            let mut batch = Batch::new();
            batch.end(&role);
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(DeletedRole { role: self.role })
    }
}
