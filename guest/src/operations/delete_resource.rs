use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::define_resource::unknown_resource;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::RESOURCES_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::resources::resource::Resource;
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;

/// Deletes a resource server permanently: all access that users gave clients to it ends.
///
/// Clients can no longer ask for it. The permissions that its scopes stand for remain.
/// Requires `user-auth:resources:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteResource {
    /// The URL of the resource server, as listed by `list_resources`.
    pub resource: ResourceUrl,
}

/// The deleted resource server.
#[derive(Serialize, JsonSchema)]
pub struct DeletedResource {
    /// The URL of the resource server.
    pub resource: ResourceUrl,
}

impl Operation for DeleteResource {
    const NAME: &'static str = "delete_resource";
    const TITLE: &'static str = "Delete a resource server";
    const TOOLSET: Option<Toolset> = Some(Toolset::Service);
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(RESOURCES_WRITE);
    type Output = DeletedResource;

    fn run(self, call: &ActorCall) -> Result<DeletedResource> {
        authority::retry_on_conflict(call, |call| {
            let (Some(resource), head) = Resource::read(&self.resource, &call.ports)? else {
                return Err(unknown_resource(&self.resource));
            };
            let key = Resource::key(&self.resource);
            let mut batch = Batch::new();
            batch.delete(key, Expect::At(resource.version));
            let event = Event::success(Self::NAME).detail("resource", self.resource.as_str());
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(DeletedResource {
            resource: self.resource,
        })
    }
}
