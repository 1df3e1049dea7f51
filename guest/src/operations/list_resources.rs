use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::define_resource::ResourceView;
use super::{Effect, Operation, Toolset};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::ActorCall;
use crate::domain::accounts::permission::RESOURCES_READ;
use crate::domain::resources::resource;
use crate::error::Result;

/// Lists the resource servers and the scopes that clients can ask users for there.
///
/// Requires `user-auth:resources:read`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListResources {}

/// All resource servers.
#[derive(Serialize, JsonSchema)]
pub struct Resources {
    /// The resource servers by URL, at most 100.
    pub resources: Vec<ResourceView>,
}

impl Operation for ListResources {
    const NAME: &'static str = "list_resources";
    const TITLE: &'static str = "List the resource servers";
    const TOOLSET: Option<Toolset> = Some(Toolset::Service);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::Permission(RESOURCES_READ);
    type Output = Resources;

    fn run(self, call: &ActorCall) -> Result<Resources> {
        let all = resource::all(&call.ports)?;
        let resources = all.into_iter().map(ResourceView::from).collect();
        Ok(Resources { resources })
    }
}
