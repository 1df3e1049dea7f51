//! What the authorization server can do, for clients (RFC 8414). It lists what works and
//! nothing else: clients act on it.

use serde_json::{Value, json};

use super::metadata_document;
use crate::domain::clients::key_set::ALGORITHMS;
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::env::Env;
use crate::domain::resources::resource::{self, Resource};
use crate::domain::sessions::signing_key::SigningKeys;
use crate::error::Result;
use crate::json::JsonText;
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
/// OpenID Connect Core 1.0 section 5.3.
pub const USERINFO: &str = "/userinfo";

/// How clients authenticate.
const AUTH_METHODS: [&str; 4] = [
    "none",
    "private_key_jwt",
    "client_secret_basic",
    "client_secret_post",
];

/// What does not depend on the settings.
const SUPPORTED: [(&str, &[&str]); 13] = [
    ("response_types_supported", &["code"]),
    ("response_modes_supported", &["query"]),
    (
        "grant_types_supported",
        &["authorization_code", "refresh_token"],
    ),
    ("token_endpoint_auth_methods_supported", &AUTH_METHODS),
    (
        "token_endpoint_auth_signing_alg_values_supported",
        ALGORITHMS,
    ),
    ("revocation_endpoint_auth_methods_supported", &AUTH_METHODS),
    (
        "revocation_endpoint_auth_signing_alg_values_supported",
        ALGORITHMS,
    ),
    // Services show an API key, by Basic or as a bearer token.
    (
        "introspection_endpoint_auth_methods_supported",
        &[
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
            "Bearer",
        ],
    ),
    (
        "introspection_endpoint_auth_signing_alg_values_supported",
        ALGORITHMS,
    ),
    ("code_challenge_methods_supported", &["S256"]),
    ("ui_locales_supported", &["en", "de"]),
    ("subject_types_supported", &["public"]),
    // What id tokens and the userinfo endpoint tell of a user.
    (
        "claims_supported",
        &[
            "acr",
            "amr",
            "aud",
            "auth_time",
            "email",
            "email_verified",
            "exp",
            "iat",
            "iss",
            "nonce",
            "preferred_username",
            "sub",
        ],
    ),
];

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

/// Who reads the document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Clients of resource servers (RFC 8414). Some of them ask for all scopes that the
    /// document names, of whichever resource server they want, so it names none: the metadata
    /// of a resource server names its own.
    Client,
    /// Clients that sign users in (OpenID Connect Discovery 1.0 section 3). Clients of resource
    /// servers read the other document first.
    RelyingParty,
}

/// Returns the document.
pub fn document(reader: Reader, oauth: &OAuth, env: &Env) -> Result<JsonText> {
    let issuer = oauth.public_url.as_str();
    let own = Resource::own(env.settings).into_iter();
    let resources: Vec<Resource> = own.chain(resource::all(&env.ports)?).collect();
    let protected: Vec<&str> = resources.iter().map(|it| it.resource.as_str()).collect();
    let algorithms = algorithms(env)?;
    let endpoints = [
        ("authorization_endpoint", AUTHORIZE),
        ("token_endpoint", TOKEN),
        ("userinfo_endpoint", USERINFO),
        ("jwks_uri", JWKS),
        ("revocation_endpoint", REVOKE),
        ("introspection_endpoint", INTROSPECT),
        ("registration_endpoint", REGISTER),
    ];
    let is_open = oauth.registration == ClientRegistration::Open;
    let takes_documents = metadata_document::is_supported(env);
    Ok(JsonText::object(|mut document| {
        document = document.field("issuer", issuer);
        for (name, path) in endpoints {
            if path != REGISTER || is_open {
                document = document.field(name, &format!("{issuer}{path}"));
            }
        }
        for (name, values) in SUPPORTED {
            document = document.field(name, values);
        }
        if reader == Reader::RelyingParty {
            let scopes = IdentityScope::ALL.map(IdentityScope::as_str);
            document = document.field("scopes_supported", &scopes[..]);
        }
        // RFC 8414 section 3.2: claims without a value are left out.
        if !protected.is_empty() {
            document = document.field("protected_resources", &protected[..]);
        }
        if takes_documents {
            document = document.field("client_id_metadata_document_supported", &true);
        }
        document
            .field("id_token_signing_alg_values_supported", &algorithms[..])
            .field("authorization_response_iss_parameter_supported", &true)
    }))
}

/// Returns the algorithms of id tokens: that of the settings and, after a change of it, those
/// of the keys that still sign.
fn algorithms(env: &Env) -> Result<Vec<&'static str>> {
    let mut names = vec![env.settings.signing_algorithm.name()];
    let (keys, _) = SigningKeys::read(&env.ports)?;
    if let Some(keys) = keys {
        for (_, published) in keys.value.known_to_others(env.now()) {
            let name = published.algorithm.name();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}
