use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::define_role::RoleView;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::ROLES_READ;
use crate::domain::accounts::role::{Role, RoleName};
use crate::error::Result;
use crate::storage::record;

/// The number of roles read at a time.
const PAGE: u32 = 200;

/// Lists all roles and the permissions that they grant.
///
/// The built-in role `admin` comes first. Requires `user-auth:roles:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRoles {}

/// All roles.
#[derive(Serialize, JsonSchema)]
pub struct Roles {
    /// The roles: `admin`, then the others by name.
    pub roles: Vec<RoleView>,
}

impl Operation for ListRoles {
    const NAME: &'static str = "list_roles";
    const TITLE: &'static str = "List the roles";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_READ);
    type Output = Roles;

    fn run(self, call: &ActorCall) -> Result<Roles> {
        let ports = &call.ports;
        let mut roles = vec![RoleView::admin(RoleName::admin())];
        let mut after = None;
        loop {
            let page = ports.store.scan(Role::PREFIX, after.as_deref(), PAGE)?;
            for entry in page.entries {
                let role = record::parse::<Role>(Some(entry), ports)?;
                roles.extend(role.map(|role| RoleView::from(role.value)));
            }
            after = page.next;
            if after.is_none() {
                return Ok(Roles { roles });
            }
        }
    }
}
