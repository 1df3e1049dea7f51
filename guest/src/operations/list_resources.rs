use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::define_resource::ResourceView;
use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::CLIENTS_READ;
use crate::domain::resources::resource::Resource;
use crate::error::Result;

/// Lists the resource servers that clients can get tokens for, and their scopes. Requires
/// `user-auth:clients:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListResources {}

/// All resource servers.
#[derive(Serialize, JsonSchema)]
pub struct Resources {
    /// The resource servers, by their URLs.
    pub resources: Vec<ResourceView>,
}

impl Operation for ListResources {
    const NAME: &'static str = "list_resources";
    const TITLE: &'static str = "List the resource servers";
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_READ);
    type Output = Resources;

    fn run(self, call: &ActorCall) -> Result<Resources> {
        let all = Resource::all(&call.ports)?.into_iter();
        Ok(Resources {
            resources: all.map(ResourceView::from).collect(),
        })
    }
}
