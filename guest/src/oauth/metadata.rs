//! What the authorization server can do, for clients (RFC 8414). It lists what works and
//! nothing else: clients act on it.

use serde_json::{Value, json};

use super::metadata_document;
use crate::domain::env::Env;
use crate::domain::resources::resource::{self, Resource};
use crate::error::Result;
use crate::settings::{ClientRegistration, OAuth};

/// How long clients may keep the document, in seconds.
pub const MAX_AGE_SECONDS: u64 = 300;

/// The paths of the endpoints, below the issuer.
pub const AUTHORIZE: &str = "/authorize";
/// RFC 6749 section 3.2.
pub const TOKEN: &str = "/token";
/// RFC 7591 section 3 and RFC 7592 section 2.
pub const REGISTER: &str = "/register";
/// RFC 7009.
pub const REVOKE: &str = "/revoke";
/// RFC 7662.
pub const INTROSPECT: &str = "/introspect";
/// RFC 7517.
pub const JWKS: &str = "/jwks";

/// Returns the metadata of this service as a resource server (RFC 9728 section 2), or `None`
/// if it is none. It names no scopes: clients ask for all that are named, and those of this
/// service are for administrators.
pub fn protected_resource(oauth: &OAuth, env: &Env) -> Option<Value> {
    let own = Resource::own(env.settings)?;
    Some(json!({
        "resource": own.resource.as_str(),
        "authorization_servers": [oauth.public_url.as_str()],
        "bearer_methods_supported": ["header"],
        "resource_name": own.resource_name.as_str(),
    }))
}

/// Returns the document. It names no scopes: some clients ask for all that it names, of
/// whichever resource server they want. The metadata of a resource server names its own.
pub fn document(oauth: &OAuth, env: &Env) -> Result<Value> {
    let issuer = oauth.public_url.as_str();
    let own = Resource::own(env.settings).into_iter();
    let resources: Vec<Resource> = own.chain(resource::all(&env.ports)?).collect();
    let protected: Vec<&str> = resources.iter().map(|it| it.resource.as_str()).collect();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}{AUTHORIZE}"),
        "token_endpoint": format!("{issuer}{TOKEN}"),
        "jwks_uri": format!("{issuer}{JWKS}"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": [
            "none", "client_secret_basic", "client_secret_post",
        ],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "revocation_endpoint": format!("{issuer}{REVOKE}"),
        "revocation_endpoint_auth_methods_supported": [
            "none", "client_secret_basic", "client_secret_post",
        ],
        "introspection_endpoint": format!("{issuer}{INTROSPECT}"),
        // Services show an API key, by Basic or as a bearer token.
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "Bearer",
        ],
        "ui_locales_supported": ["en", "de"],
    });
    if oauth.registration == ClientRegistration::Open {
        document["registration_endpoint"] = format!("{issuer}{REGISTER}").into();
    }
    if metadata_document::is_supported(env) {
        document["client_id_metadata_document_supported"] = true.into();
    }
    // RFC 8414 section 3.2: claims without a value are left out.
    if !protected.is_empty() {
        document["protected_resources"] = protected.into();
    }
    Ok(document)
}
