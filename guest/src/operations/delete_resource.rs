use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::CLIENTS_WRITE;
use crate::domain::audit::{Chain, Event};
use crate::domain::resources::resource::{Resource, unknown_resource};
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::Result;
use crate::ports::Expect;
use crate::storage::batch::Batch;

/// Deletes a resource server: clients get no more tokens for it, and cannot refresh those
/// that they have. Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteResource {
    /// The URL of the resource server.
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
    const EFFECT: Effect = Effect::Ends;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = DeletedResource;

    fn run(self, call: &ActorCall) -> Result<DeletedResource> {
        authority::retry_on_conflict(call, |call| {
            let (found, head) = Resource::read_with_head(&self.resource, &call.ports)?;
            let Some(found) = found else {
                return Err(unknown_resource(&self.resource));
            };
            let event = Event::success(Self::NAME).detail("resource", self.resource.as_str());
            let mut batch = Batch::new();
            batch.delete(Resource::key(&self.resource), Expect::At(found.version));
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(DeletedResource {
            resource: self.resource,
        })
    }
}
