//! The records of resource servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource_url::ResourceUrl;
use crate::domain::accounts::permission::{self, Permission};
use crate::domain::accounts::role::Description;
use crate::domain::audit::{Chain, Head};
use crate::domain::clients::client_name::ClientName;
use crate::domain::env::Env;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::Ports;
use crate::settings::Settings;
use crate::storage::ground;
use crate::storage::record::{self, Found};
use crate::types::time::Timestamp;

/// The number of resource servers that are read at a time.
const PAGE: u32 = 200;

/// A resource server, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// The URL, which is the audience of its tokens.
    pub resource: ResourceUrl,
    /// The name for people.
    pub name: ClientName,
    /// The scopes that it knows.
    pub scopes: Vec<Scope>,
    /// When it was last defined.
    pub defined_at: Timestamp,
}

/// A scope of a resource server: a permission that a user can let a client use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The name of the scope, such as `files:read`.
    pub scope: Permission,
    /// What it permits, in words for the consent page, such as "Read your files".
    pub description: Description,
    /// Whether only users whose roles permit it can let a client use it; everybody can by
    /// default.
    #[serde(default)]
    pub restricted: bool,
}

impl Resource {
    /// The prefix of all resource servers.
    pub const PREFIX: &'static str = "resource/";

    /// Returns the store key of a resource server.
    pub fn key(resource: &ResourceUrl) -> String {
        format!("{}{}", Resource::PREFIX, ground::digest(resource))
    }

    /// Returns a resource server: this service itself, or one that is defined.
    pub fn find(resource: &ResourceUrl, env: &Env) -> Result<Option<Resource>> {
        if let Some(own) = Resource::own(env.settings)
            && own.resource == *resource
        {
            return Ok(Some(own));
        }
        let found = Resource::read(resource, &env.ports)?;
        Ok(found.map(|found| found.value))
    }

    /// Returns this service as a resource server: its MCP endpoint, whose scopes are its own
    /// permissions. `None` unless it is an authorization server.
    pub fn own(settings: &Settings) -> Option<Resource> {
        let oauth = settings.oauth.as_ref()?;
        let name = ClientName::try_from(oauth.service_name.clone());
        Some(Resource {
            resource: own_url(settings)?,
            name: name.unwrap_or_else(|_| ClientName::own()),
            scopes: permission::OWN.into_iter().map(own_scope).collect(),
            defined_at: Timestamp::from_ms(0),
        })
    }

    /// Reads a resource server that is defined.
    fn read(resource: &ResourceUrl, ports: &Ports) -> Result<Found<Resource>> {
        record::read(Resource::key(resource), ports)
    }

    /// Reads a resource server and the head of the chain that records its changes, as one
    /// snapshot.
    pub fn read_with_head(
        resource: &ResourceUrl,
        ports: &Ports,
    ) -> Result<(Found<Resource>, Found<Head>)> {
        record::read_both(
            [Resource::key(resource), Chain::head_key(Chain::shared())],
            ports,
        )
    }

    /// Returns all resource servers that are defined, ordered by their URLs.
    pub fn all(ports: &Ports) -> Result<Vec<Resource>> {
        let mut resources = Vec::new();
        let mut after = None;
        loop {
            let page = ports.store.scan(Resource::PREFIX, after.as_deref(), PAGE)?;
            for entry in page.entries {
                let resource = record::parse::<Resource>(Some(entry), ports)?;
                resources.extend(resource.map(|resource| resource.value));
            }
            after = page.next;
            if after.is_none() {
                resources.sort_unstable_by(|one, other| one.resource.cmp(&other.resource));
                return Ok(resources);
            }
        }
    }
}

/// Returns the URL of this service as a resource server, if it is an authorization server.
pub fn own_url(settings: &Settings) -> Option<ResourceUrl> {
    let oauth = settings.oauth.as_ref()?;
    ResourceUrl::parse(&format!("{}/mcp", oauth.public_url.as_str()))
}

/// Only users whose roles permit something here can let a client do it.
fn own_scope((name, description): (&'static str, &'static str)) -> Scope {
    Scope {
        scope: Permission::own(name),
        description: Description::own(description),
        restricted: true,
    }
}

/// Returns the error for a resource server that is not defined.
pub fn unknown_resource(resource: &ResourceUrl) -> AuthError {
    AuthError::new(ErrorKind::Application, "There is no such resource server")
        .detail("resource", resource.as_str())
        .detail(
            "action",
            "define it with define_resource, or choose one from list_resources",
        )
}
