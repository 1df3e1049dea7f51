use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Operation};
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::{CLIENTS_WRITE, Permission};
use crate::domain::audit::{Chain, Event};
use crate::domain::clients::client_name::ClientName;
use crate::domain::resources::resource::{self, Resource, Scope};
use crate::domain::resources::resource_url::ResourceUrl;
use crate::error::{AuthError, FieldError, Result};
use crate::storage::batch::Batch;

/// The most scopes of one resource server: all of them have to be read by a person.
const MAX_SCOPES: usize = 50;

/// Defines a resource server, such as an MCP server: its URL, for which clients get tokens,
/// and its scopes, which users are asked for. An existing resource server with this URL is
/// replaced. Requires `user-auth:clients:write`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineResource {
    /// The URL, such as `https://files.example.com/mcp`, which is the audience of its tokens.
    pub resource: ResourceUrl,
    /// The name that users see.
    pub name: ClientName,
    /// The scopes that it knows; at most 50. A client that asks for none gets those that are
    /// not restricted.
    #[serde(default)]
    #[schemars(extend("maxItems" = MAX_SCOPES))]
    pub scopes: Vec<Scope>,
}

/// A resource server.
#[derive(Serialize, JsonSchema)]
pub struct ResourceView {
    /// The URL, which is the audience of its tokens.
    pub resource: ResourceUrl,
    /// The name that users see.
    pub name: ClientName,
    /// The scopes that it knows.
    pub scopes: Vec<Scope>,
    /// When it was last defined (RFC 3339).
    pub defined_at: String,
}

impl Operation for DefineResource {
    const NAME: &'static str = "define_resource";
    const TITLE: &'static str = "Define a resource server";
    const EFFECT: Effect = Effect::Replaces;
    const REQUIRES: Requirement = Requirement::Permission(CLIENTS_WRITE);
    type Output = ResourceView;

    fn run(self, call: &ActorCall) -> Result<ResourceView> {
        check(&self.scopes)?;
        if resource::own_url(call.settings).as_ref() == Some(&self.resource) {
            let problem = "this service is a resource server already, with its own scopes";
            return Err(AuthError::invalid(vec![FieldError::new(
                "resource", problem,
            )]));
        }
        let defined = Resource {
            resource: self.resource,
            name: self.name,
            scopes: self.scopes,
            defined_at: call.now(),
        };
        authority::retry_on_conflict(call, |call| {
            let (old, head) = Resource::read_with_head(&defined.resource, &call.ports)?;
            let names: Vec<&str> = names(&defined.scopes).map(Permission::as_str).collect();
            let event = Event::success(Self::NAME)
                .detail("resource", defined.resource.as_str())
                .detail("scopes", names);
            let key = Resource::key(&defined.resource);
            let mut batch = Batch::new();
            match &old {
                None => batch.create(key, &defined),
                Some(old) => batch.replace(key, &old.version, &defined),
            };
            Chain::at(Chain::shared(), head).append(event, &mut batch, call)?;
            Ok(call.commit(batch)?.then(()))
        })?;
        Ok(ResourceView::from(defined))
    }
}

fn names(scopes: &[Scope]) -> impl Iterator<Item = &Permission> {
    scopes.iter().map(|scope| &scope.scope)
}

/// Fails with -32000 if there are too many scopes, or two with one name.
fn check(scopes: &[Scope]) -> Result<()> {
    let is_repeated =
        |(index, name): (usize, &Permission)| names(&scopes[..index]).any(|other| other == name);
    let problem = if scopes.len() > MAX_SCOPES {
        format!("expected at most {MAX_SCOPES} scopes")
    } else if names(scopes).enumerate().any(is_repeated) {
        "expected scopes with different names".to_owned()
    } else {
        return Ok(());
    };
    Err(AuthError::invalid(vec![FieldError::new("scopes", problem)]))
}

impl From<Resource> for ResourceView {
    fn from(resource: Resource) -> ResourceView {
        ResourceView {
            resource: resource.resource,
            name: resource.name,
            scopes: resource.scopes,
            defined_at: resource.defined_at.to_rfc3339(),
        }
    }
}
