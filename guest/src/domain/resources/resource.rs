//! Resource servers and their scopes, as stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resource_url::ResourceUrl;
use super::scope::OF_OPENID;
use crate::domain::accounts::permission::{self, Permission};
use crate::domain::audit::{Chain, Head};
use crate::domain::display_text::DisplayText;
use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::storage::record::{self, Found};
use crate::types::time::Timestamp;

/// The most resource servers that there can be. At their longest, they have 3 MiB, which
/// one scan reads (`wit/store.wit`).
pub const MAX_RESOURCES: u32 = 100;
const MAX_SCOPES: usize = 50;

/// A scope of a resource server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceScope {
    /// The permission that the scope stands for, such as `billing:read`.
    pub scope: Permission,
    /// What a client with this scope may do, in words for the person who is asked to
    /// consent.
    pub description: DisplayText,
    /// Whether only users whose roles permit it can give it to a client; everybody can by
    /// default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restricted: bool,
}

/// The scopes of a resource server: at most 50 different ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<ResourceScope>", into = "Vec<ResourceScope>")]
#[schemars(with = "Vec<ResourceScope>", extend("maxItems" = MAX_SCOPES))]
pub struct ResourceScopes(Vec<ResourceScope>);

/// A resource server, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resource {
    /// The URL of the resource server.
    pub resource: ResourceUrl,
    /// The name for people.
    pub resource_name: DisplayText,
    /// What clients can ask for there.
    pub scopes: ResourceScopes,
    /// When it was last defined.
    pub defined_at: Timestamp,
    /// When it was first defined since it was last deleted.
    pub created_at: Timestamp,
}

impl Resource {
    /// The prefix of all stored resource servers.
    pub const PREFIX: &'static str = "resource/";

    /// Returns the store key of a resource server. The one form of a URL is short and plain
    /// enough for a key.
    pub fn key(url: &ResourceUrl) -> String {
        format!("{}{}", Resource::PREFIX, url.as_str())
    }

    /// Returns a resource server: this service itself, or one that is defined.
    pub fn find(url: &ResourceUrl, env: &Env) -> Result<Option<Resource>> {
        if let Some(own) = Resource::own(env.settings)
            && own.resource == *url
        {
            return Ok(Some(own));
        }
        let found = record::read::<Resource>(Resource::key(url), &env.ports)?;
        Ok(found.map(|found| found.value))
    }

    /// Returns this service as a resource server: its MCP endpoint, whose scopes are its own
    /// permissions. `None` unless it is an authorization server.
    pub fn own(settings: &Settings) -> Option<Resource> {
        let oauth = settings.oauth.as_ref()?;
        let scopes = permission::OWN.into_iter().map(own_scope);
        Some(Resource {
            resource: own_url(settings)?,
            resource_name: oauth.service_name.clone(),
            scopes: ResourceScopes(scopes.collect()),
            defined_at: Timestamp::from_ms(0),
            created_at: Timestamp::from_ms(0),
        })
    }

    /// Reads a resource server and the head of the chain that records its changes, as one
    /// snapshot.
    pub fn read(url: &ResourceUrl, ports: &Ports) -> Result<(Found<Resource>, Found<Head>)> {
        let head = Chain::head_key(Chain::shared());
        record::read_both([Resource::key(url), head], ports)
    }
}

/// Returns the URL of this service as a resource server, if it is an authorization server.
#[expect(
    clippy::expect_used,
    reason = "a public URL is a stricter form of a resource server's, four bytes shorter"
)]
pub fn own_url(settings: &Settings) -> Option<ResourceUrl> {
    let oauth = settings.oauth.as_ref()?;
    let url = ResourceUrl::try_from(format!("{}/mcp", oauth.public_url.as_str()));
    Some(url.expect("a public URL with an endpoint is the URL of a resource server"))
}

/// Only users whose roles permit something here can let a client do it.
fn own_scope((name, description): (&'static str, &'static str)) -> ResourceScope {
    ResourceScope {
        scope: Permission::own(name),
        description: DisplayText::own(description),
        restricted: true,
    }
}

/// Reports whether another resource server can be defined. A caller that read the head of
/// the shared audit chain first, and commits on it, has counted all of them.
pub fn is_place_left(ports: &Ports) -> Result<bool> {
    let page = ports.store.scan(Resource::PREFIX, None, MAX_RESOURCES)?;
    Ok(page.entries.len() < MAX_RESOURCES as usize)
}

/// Returns all resource servers in the order of their URLs, which is that of their keys.
pub fn all(ports: &Ports) -> Result<Vec<Resource>> {
    let page = ports.store.scan(Resource::PREFIX, None, MAX_RESOURCES)?;
    let mut all = Vec::with_capacity(page.entries.len());
    for entry in page.entries {
        let resource = record::parse::<Resource>(Some(entry), ports)?;
        all.extend(resource.map(|resource| resource.value));
    }
    Ok(all)
}

impl ResourceScopes {
    /// Returns the scopes in the order in which they were defined.
    pub fn as_slice(&self) -> &[ResourceScope] {
        &self.0
    }
}

impl TryFrom<Vec<ResourceScope>> for ResourceScopes {
    type Error = &'static str;

    fn try_from(scopes: Vec<ResourceScope>) -> std::result::Result<ResourceScopes, Self::Error> {
        if scopes.len() > MAX_SCOPES {
            return Err("expected at most 50 scopes");
        }
        let names: Vec<&str> = scopes.iter().map(|it| it.scope.as_str()).collect();
        if scopes.iter().any(|it| it.scope.is_own()) {
            return Err("expected no scope that begins with user-auth:, which are this service's");
        }
        if names.iter().any(|name| OF_OPENID.contains(name)) {
            return Err("expected no scope of OpenID Connect, such as openid or email");
        }
        let mut numbered = names.iter().enumerate();
        if numbered.any(|(number, name)| names[..number].contains(name)) {
            return Err("expected each scope once");
        }
        Ok(ResourceScopes(scopes))
    }
}

impl From<ResourceScopes> for Vec<ResourceScope> {
    fn from(scopes: ResourceScopes) -> Vec<ResourceScope> {
        scopes.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ResourceScopes;

    fn parse(scopes: &[(&str, &str)]) -> Result<ResourceScopes, serde_json::Error> {
        let scopes = scopes
            .iter()
            .map(|(scope, description)| json!({"scope": scope, "description": description}));
        serde_json::from_value(Value::Array(scopes.collect()))
    }

    #[test]
    fn scopes_are_permissions_of_other_services_with_a_description_each() {
        let words = "Read your invoices";
        assert!(parse(&[]).is_ok());
        assert!(parse(&[("billing:read", words), ("billing:write", words)]).is_ok());
        for wrong in [
            &[("billing:read", words), ("billing:read", "Another text")][..],
            &[("billing:*", words)],
            &[("*", words)],
            &[("Billing", words)],
            &[("user-auth:users:read", words)],
            &[("openid", words)],
            &[("offline_access", words)],
            &[("billing:read", "")],
            &[("billing:read", " ")],
            &[("billing:read", "two\nlines")],
            &[("billing:read", &"a".repeat(101))],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_resource_server_has_at_most_fifty_scopes() {
        let names: Vec<String> = (0..51).map(|number| format!("shop:{number}")).collect();
        let scopes: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "Shop")).collect();
        assert!(parse(&scopes[..50]).is_ok());
        assert!(parse(&scopes).is_err());
    }
}
