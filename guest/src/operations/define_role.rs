use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::{Grant, InputGrant, ROLES_WRITE};
use crate::domain::accounts::role::{Description, Role, RoleName};
use crate::domain::audit::{Chain, Event};
use crate::error::{AuthError, Cause, ErrorKind, FieldError, Result};
use crate::storage::batch::Batch;

/// Keeps a role within one page of the store, and checks cheap.
const MAX_GRANTS: usize = 100;

/// Defines a role, which is a named set of permissions to assign to users. An existing
/// role with this name is replaced.
///
/// It is replaced for all its holders. Requires `user-auth:roles:write`, and every
/// permission that the role grants before and after; `admin` cannot be redefined.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineRole {
    /// The name of the role.
    pub role: RoleName,
    /// The permissions that it grants: `billing:read` for one, `billing:*` for all below
    /// `billing`, `*` for everything. At most 100.
    #[schemars(with = "Vec<Grant>", extend("maxItems" = MAX_GRANTS))]
    pub permissions: Vec<InputGrant>,
    /// The purpose of the role.
    #[serde(default)]
    pub description: Description,
}

/// A role.
#[derive(Serialize, JsonSchema)]
pub struct RoleView {
    /// The name of the role.
    pub role: RoleName,
    /// The permissions that it grants.
    pub permissions: Vec<Grant>,
    /// The purpose of the role.
    pub description: Description,
    /// When it was last defined (RFC 3339); absent for `admin`, which is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defined_at: Option<String>,
}

impl Operation for DefineRole {
    const NAME: &'static str = "define_role";
    const TITLE: &'static str = "Define a role";
    const TOOLSET: Option<Toolset> = Some(Toolset::Roles);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(ROLES_WRITE);
    type Output = RoleView;

    fn run(self, call: &ActorCall) -> Result<RoleView> {
        if self.role.is_admin() {
            return Err(is_built_in());
        }
        let permissions = distinct(self.permissions)?;
        let role = authority::retry_on_conflict(call, |call| {
            authority::require_covered(&permissions, call)?;
            let (old, head) = Role::read(&self.role, &call.ports)?;
            if let Some(old) = &old {
                authority::require_covered(&old.value.permissions, call)?;
            }
            let role = Role {
                role: self.role.clone(),
                permissions: permissions.clone(),
                description: self.description.clone(),
                defined_at: call.now(),
            };
            let grants: Vec<&str> = permissions.iter().map(Grant::as_str).collect();
            let event = Event::success(Self::NAME)
                .detail("role", self.role.as_str())
                .detail("permissions", grants);
            let mut batch = Batch::new();
            match &old {
                None => batch.create_again(&role),
                Some(old) => batch.change(old, &role),
            };
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(role))
        })?;
        Ok(RoleView::from(role))
    }
}

/// Returns the permissions in order and without duplicates.
fn distinct(permissions: Vec<InputGrant>) -> Result<Vec<Grant>> {
    let permissions = permissions.into_iter().map(|InputGrant(grant)| grant);
    let mut permissions: Vec<Grant> = permissions.collect();
    permissions.sort_unstable();
    permissions.dedup();
    if permissions.len() > MAX_GRANTS {
        let problem = format!("expected at most {MAX_GRANTS} permissions");
        return Err(AuthError::invalid(vec![FieldError::new(
            "permissions",
            problem,
        )]));
    }
    Ok(permissions)
}

/// Returns the error for a change of the built-in role.
pub fn is_built_in() -> AuthError {
    let problem = "this role is built in, and always permits everything";
    AuthError::invalid(vec![FieldError::new("role", problem)])
}

/// Returns the error for a role that is not defined.
pub fn unknown_role(role: &RoleName) -> AuthError {
    AuthError::new(ErrorKind::Application, "There is no such role")
        .because(Cause::UnknownRole)
        .detail("role", role.as_str())
        .detail(
            "action",
            "define it with define_role, or choose one from list_roles",
        )
}

impl RoleView {
    /// Returns the built-in role.
    pub fn admin(role: RoleName) -> RoleView {
        RoleView {
            role,
            permissions: vec![Grant::everything()],
            description: Description::default(),
            defined_at: None,
        }
    }
}

impl From<Role> for RoleView {
    fn from(role: Role) -> RoleView {
        RoleView {
            role: role.role,
            permissions: role.permissions,
            description: role.description,
            defined_at: Some(role.defined_at.to_rfc3339()),
        }
    }
}
