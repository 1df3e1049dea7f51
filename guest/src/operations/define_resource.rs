use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::RESOURCES_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::display_text::DisplayText;
use crate::domain::resources::resource::{self, Resource, ResourceScopes};
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::Expect;
use crate::storage::batch::Batch;

/// Defines a resource server: a service that accepts tokens, such as an MCP server, and
/// the scopes that clients can ask users for there. An existing resource server with this
/// URL is replaced.
///
/// A scope is a permission; a client gets it from a user who consents and, if the scope
/// is restricted, whose roles permit it. There can be 100 resource servers. Requires
/// `user-auth:resources:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineResource {
    /// The URL of the resource server, such as `https://mcp.example.com/mcp`.
    ///
    /// It is `https`, or `http` on `localhost` or a loopback address, without a query and
    /// a fragment. A slash at the end is left out.
    pub resource: ResourceUrl,
    /// The name that users see.
    pub resource_name: DisplayText,
    /// The scopes: at most 50; none by default.
    ///
    /// Names that begin with `user-auth:` and the scopes of OpenID Connect, such as
    /// `openid`, are rejected.
    #[serde(default)]
    pub scopes: ResourceScopes,
}

/// A resource server.
#[derive(Serialize, JsonSchema)]
pub struct ResourceView {
    /// The URL of the resource server, which is the audience of tokens for it.
    pub resource: ResourceUrl,
    /// The name that users see.
    pub resource_name: DisplayText,
    /// What clients can ask users for there.
    pub scopes: ResourceScopes,
    /// When it was last defined (RFC 3339).
    pub defined_at: String,
}

impl Operation for DefineResource {
    const NAME: &'static str = "define_resource";
    const TITLE: &'static str = "Define a resource server";
    const TOOLSET: Option<Toolset> = Some(Toolset::Service);
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(RESOURCES_WRITE);
    type Output = ResourceView;

    fn run(self, call: &ActorCall) -> Result<ResourceView> {
        let ports = &call.ports;
        let resource = Resource {
            resource: self.resource,
            resource_name: self.resource_name,
            scopes: self.scopes,
            defined_at: call.now(),
            created_at: call.now(),
        };
        let scopes = resource.scopes.as_slice();
        let scopes: Vec<&str> = scopes.iter().map(|it| it.scope.as_str()).collect();
        authority::retry_on_conflict(call, |call| {
            let (old, head) = Resource::read(&resource.resource, ports)?;
            let created_at = old.as_ref().map(|old| old.value.created_at);
            let resource = Resource {
                created_at: created_at.unwrap_or(call.now()),
                ..resource.clone()
            };
            let expect = match old {
                Some(old) => Expect::At(old.version),
                None if resource::is_place_left(ports)? => Expect::Absent,
                None => return Err(too_many()),
            };
            let mut batch = Batch::new();
            batch.put(Resource::key(&resource.resource), expect, &resource, None);
            let event = Event::success(Self::NAME)
                .detail("resource", resource.resource.as_str())
                .detail("resource_name", resource.resource_name.as_str())
                .detail("scopes", scopes.clone());
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(ResourceView::from(resource))
    }
}

/// Returns the error for a resource server that is not defined.
pub(super) fn unknown_resource(resource: &ResourceUrl) -> AuthError {
    AuthError::new(ErrorKind::Application, "There is no such resource server")
        .because(Cause::UnknownResource)
        .detail("resource", resource.as_str())
        .detail("action", "choose one from list_resources")
}

fn too_many() -> AuthError {
    AuthError::new(
        ErrorKind::Application,
        "The maximum number of resource servers is reached",
    )
    .detail("max_resources", resource::MAX_RESOURCES)
    .detail("action", "delete some with delete_resource")
}

impl From<Resource> for ResourceView {
    fn from(resource: Resource) -> ResourceView {
        ResourceView {
            resource: resource.resource,
            resource_name: resource.resource_name,
            scopes: resource.scopes,
            defined_at: resource.defined_at.to_rfc3339(),
        }
    }
}
