//! What clients say about themselves when they register (RFC 7591 section 2). Members that
//! mean nothing here are dropped: names of software, links, contacts, and scopes, since
//! users decide about these at each request.

use super::error::{OAuthError, Result};
use crate::domain::clients::client::TokenEndpointAuthMethod;
use crate::domain::clients::document_url::DocumentUrl;
use crate::domain::clients::dynamic_registration::ClientMetadata;
use crate::domain::clients::key_set::ClientKeys;
use crate::domain::clients::redirect_uri::{RedirectUri, RedirectUris};
use crate::domain::display_text::DisplayText;
use crate::json::{self, Fields, Node};

/// A method of authentication (OpenID Connect Core 1.0 section 9).
pub(super) const PRIVATE_KEY_JWT: &str = "private_key_jwt";

/// The longest metadata.
pub const MAX_BYTES: usize = 16 << 10;

/// The grants that every client can use; which of them it asks for makes no difference.
pub const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];
/// The response types that every client can use.
pub const RESPONSE_TYPES: [&str; 1] = ["code"];

/// Parses the JSON of an object.
pub fn parse_object(text: &[u8]) -> Result<Fields<'_>> {
    let invalid = OAuthError::invalid_client_metadata;
    if text.len() > MAX_BYTES {
        return Err(invalid(format!("the body has more than {MAX_BYTES} bytes")));
    }
    match json::parse(text) {
        Ok(Node::Object(fields)) => Ok(fields),
        Ok(_) => Err(invalid("the body must be a JSON object".to_owned())),
        Err(error) => Err(invalid(format!("the body {}", json::problem(&error)))),
    }
}

/// Reads the metadata of a client that authenticates as `registered`, or else as it asks.
///
/// Fails with `invalid_redirect_uri` or `invalid_client_metadata`, which names the member.
pub fn read(
    fields: &Fields,
    registered: Option<TokenEndpointAuthMethod>,
) -> Result<ClientMetadata> {
    let redirect_uris = redirect_uris(fields)?;
    let is_native = match text(fields, "application_type")? {
        Some("native") => true,
        None | Some("web") => false,
        Some(_) => return Err(must_be("application_type", "native or web")),
    };
    // Section 2: a client that says nothing else has a secret. A program on a user's machine
    // could not keep one.
    let method = match text(fields, "token_endpoint_auth_method")? {
        Some("none") => TokenEndpointAuthMethod::None,
        Some("client_secret_basic") => TokenEndpointAuthMethod::ClientSecretBasic,
        Some("client_secret_post") => TokenEndpointAuthMethod::ClientSecretPost,
        Some(PRIVATE_KEY_JWT) => TokenEndpointAuthMethod::PrivateKeyJwt,
        None => registered.unwrap_or(match is_native {
            true => TokenEndpointAuthMethod::None,
            false => TokenEndpointAuthMethod::ClientSecretBasic,
        }),
        Some(_) => {
            let expected = "none, client_secret_basic, client_secret_post or private_key_jwt";
            return Err(must_be("token_endpoint_auth_method", expected));
        }
    };
    if registered.is_some_and(|registered| registered != method) {
        return Err(must_be("token_endpoint_auth_method", "what it was"));
    }
    require_among(fields, "grant_types", GRANT_TYPES[0])?;
    require_among(fields, "response_types", RESPONSE_TYPES[0])?;
    Ok(ClientMetadata {
        client_name: text(fields, "client_name")?.and_then(DisplayText::cleaned),
        redirect_uris,
        token_endpoint_auth_method: method,
        keys: keys(fields, method)?,
    })
}

const PRIVATE_USE: &str = "expected a scheme that is a domain name in reverse order, such as \
    com.example.app; an administrator can register others";

/// Names each redirect URI that is wrong, by its place.
pub(super) fn redirect_uris(fields: &Fields) -> Result<RedirectUris> {
    let invalid = |problem: String| OAuthError::new("invalid_redirect_uri", problem);
    let Some(Node::List(items)) = fields.get("redirect_uris") else {
        return Err(invalid("'redirect_uris' must be an array".to_owned()));
    };
    let mut uris = Vec::new();
    let mut problems = Vec::new();
    // One more than is permitted, which is then rejected as too many.
    for (index, item) in items.iter().enumerate().take(RedirectUris::MAX + 1) {
        let parsed = match item {
            Node::Text(text) => RedirectUri::try_from(text.to_string()),
            _ => Err("expected a string"),
        };
        match parsed {
            Ok(uri) if uri.is_allowed_for_dynamic_clients() => uris.push(uri),
            Ok(_) => problems.push(format!("'redirect_uris[{index}]': {PRIVATE_USE}")),
            Err(expected) => problems.push(format!("'redirect_uris[{index}]': {expected}")),
        }
    }
    if !problems.is_empty() {
        return Err(invalid(problems.join("; ")));
    }
    let uris = RedirectUris::try_from(uris);
    uris.map_err(|expected| invalid(format!("'redirect_uris': {expected}")))
}

/// Returns the keys of a client that authenticates by one, which are in one of two places (RFC
/// 7591 section 2).
pub(super) fn keys(fields: &Fields, method: TokenEndpointAuthMethod) -> Result<Option<ClientKeys>> {
    if method != TokenEndpointAuthMethod::PrivateKeyJwt {
        return Ok(None);
    }
    let jwks = fields.get("jwks").filter(|jwks| !jwks.is_null());
    let (name, read) = match (jwks, text(fields, "jwks_uri")?) {
        (Some(jwks), None) => ("'jwks'", ClientKeys::read(jwks)),
        (None, Some(url)) => {
            let url = DocumentUrl::try_from(url.to_owned());
            ("'jwks_uri'", url.map(|url| ClientKeys::at(&url)))
        }
        _ => {
            let expected = "expected exactly one of them, because the method is private_key_jwt";
            ("'jwks' or 'jwks_uri'", Err(expected))
        }
    };
    let invalid = |expected| OAuthError::invalid_client_metadata(format!("{name}: {expected}"));
    read.map(Some).map_err(invalid)
}

/// Returns the text of a member. One that is `null` counts as left out.
pub fn text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>> {
    match fields.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Text(text)) => Ok(Some(text)),
        Some(_) => Err(must_be(name, "a string")),
    }
}

/// Requires that a list, if it is there, has this word among others, which are left out.
pub(super) fn require_among(fields: &Fields, name: &str, required: &str) -> Result<()> {
    let is_required = |item: &Node| item.as_str() == Some(required);
    match fields.get(name) {
        None | Some(Node::Null) => Ok(()),
        Some(Node::List(items)) if items.iter().any(is_required) => Ok(()),
        Some(_) => Err(must_be(name, &format!("an array with {required}"))),
    }
}

fn must_be(name: &str, expected: &str) -> OAuthError {
    OAuthError::invalid_client_metadata(format!("'{name}' must be {expected}"))
}
