//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-02): what a
//! client says about itself at the URL that is its id.

use super::client_metadata::{self, keys, redirect_uris, require_among, text};
use super::client_metadata::{GRANT_TYPES, PRIVATE_KEY_JWT, RESPONSE_TYPES};
use super::error::{OAuthError, Result};
use crate::domain::call::Call;
use crate::domain::clients::client::{Client, TokenEndpointAuthMethod};
use crate::domain::clients::document_url::DocumentUrl;
use crate::domain::clients::dynamic_registration::ClientMetadata;
use crate::domain::clients::key_set;
use crate::domain::clients::metadata_document::{self, Known};
use crate::domain::display_text::DisplayText;
use crate::domain::env::Env;
use crate::domain::resources::resource::Resource;
use crate::domain::resources::resource_url::ResourceUrl;
use crate::domain::throttle;
use crate::error;
use crate::json::{self, Fields, Node};
use crate::ports::{Document, FetchError, Severity};
use crate::settings::ClientDocuments;

/// The methods that a client offers, of which the server chooses one.
const CHOICES: &str = "token_endpoint_auth_methods_supported";

/// The longest document (section 6.6 of the draft recommends 5 KB).
const MAX_BYTES: u32 = 5 << 10;

/// Reports whether clients can identify themselves by a metadata document.
pub fn is_supported(env: &Env) -> bool {
    let oauth = env.settings.oauth.as_ref();
    oauth.is_some_and(|oauth| oauth.client_documents != ClientDocuments::Off)
        && env.ports.documents.is_there()
}

/// Returns the client of a document, as the document is now, or `None` if it cannot be used.
/// A document that was fetched some minutes ago is fetched again, unless the limits do not
/// permit that now.
///
/// Fails with -32003 after too many fetches for the source of the call, as registrations do.
pub fn current(url: &DocumentUrl, call: &Call) -> error::Result<Option<Client>> {
    let known = metadata_document::known(url, call)?;
    if matches!(known, Known::Unusable) {
        return Ok(None);
    }
    if is_resource_server(url, call)? {
        let reason = "the URL is that of a resource server".to_owned();
        return unusable(url, reason, call);
    }
    let older = match known {
        Known::Fresh(client) => return Ok(Some(client)),
        Known::Stale(client) => Some(client),
        Known::Unknown | Known::Unusable => None,
    };
    let fetched = throttle::count_client(call).and_then(|()| fetch(url.as_str(), MAX_BYTES, call));
    let fetched = match fetched {
        Ok(fetched) => fetched,
        // Whoever uses up the limits must not shut out the clients that are in use.
        Err(error) => return older.map_or(Err(error), |client| Ok(Some(client))),
    };
    let parsed = fetched.and_then(|document| {
        let metadata = parse(url, &document.body)?;
        Ok((metadata, document.fresh_for))
    });
    match parsed {
        Ok((metadata, fresh_for)) => {
            metadata_document::store(url, &metadata, fresh_for, call).map(Some)
        }
        Err(error) => unusable(url, error.description, call),
    }
}

/// Fetches a document, or returns what is wrong with it.
pub(super) fn fetch(url: &str, max_bytes: u32, env: &Env) -> error::Result<Result<Document>> {
    match env.ports.documents.get(url, max_bytes) {
        Ok(document) => Ok(Ok(document)),
        Err(FetchError::Unusable(reason)) => Ok(Err(OAuthError::invalid_client_metadata(reason))),
        Err(FetchError::Unavailable(unavailable)) => Err(unavailable.into()),
    }
}

/// Reports whether a resource server has this URL. An id token for such a client would have
/// the audience of access tokens for the resource server.
fn is_resource_server(url: &DocumentUrl, env: &Env) -> error::Result<bool> {
    match ResourceUrl::try_from(url.as_str().to_owned()) {
        Ok(url) => Ok(Resource::find(&url, env)?.is_some()),
        Err(_) => Ok(false),
    }
}

/// Logs why a document cannot be used, for the operator and the author of the client.
fn unusable(url: &DocumentUrl, reason: String, call: &Call) -> error::Result<Option<Client>> {
    log_unusable(url.as_str(), reason, call);
    metadata_document::note_failure(url, call)?;
    Ok(None)
}

/// Logs why a document of a client, or the set of its keys, cannot be used.
pub(super) fn log_unusable(url: &str, reason: String, env: &Env) {
    let fields = json::fields([("url", url.into()), ("reason", reason.into())]);
    let message = "the metadata document of a client, or its keys, cannot be used";
    env.ports.telemetry.log(Severity::Warn, message, &fields);
}

/// Reads the document at a URL.
///
/// Fails with a description of what is wrong.
pub fn parse(url: &DocumentUrl, body: &[u8]) -> Result<ClientMetadata> {
    let invalid = OAuthError::invalid_client_metadata;
    let fields = client_metadata::parse_object(body)?;
    // Section 4: as simple strings.
    if text(&fields, "client_id")? != Some(url.as_str()) {
        return Err(invalid("'client_id' must be the URL of the document"));
    }
    // Section 4.1: who can read the document could use any secret in it.
    for name in ["client_secret", "client_secret_expires_at"] {
        if fields.contains(name) {
            return Err(OAuthError::invalid_client_metadata(format!(
                "'{name}' must be left out"
            )));
        }
    }
    if fields.get("jwks").is_some_and(key_set::is_private) {
        return Err(invalid("'jwks' must not have private keys"));
    }
    let method = method(&fields)?;
    require_among(&fields, "grant_types", GRANT_TYPES[0])?;
    require_among(&fields, "response_types", RESPONSE_TYPES[0])?;
    let client_name = text(&fields, "client_name")?.and_then(DisplayText::cleaned);
    if client_name.is_none() {
        return Err(invalid("'client_name' must be a name for people"));
    }
    Ok(ClientMetadata {
        client_name,
        redirect_uris: redirect_uris(&fields)?,
        token_endpoint_auth_method: method,
        keys: keys(&fields, method)?,
    })
}

/// Returns how a client authenticates. One that offers more than one method, as some do for
/// servers that have none of the better ones (OpenID Connect Relying Party Metadata Choices
/// 1.0), is held to the better one: a key.
fn method(fields: &Fields) -> Result<TokenEndpointAuthMethod> {
    if let Some(Node::List(offered)) = fields.get(CHOICES)
        && offered
            .iter()
            .any(|it| it.as_str() == Some(PRIVATE_KEY_JWT))
    {
        return Ok(TokenEndpointAuthMethod::PrivateKeyJwt);
    }
    match text(fields, "token_endpoint_auth_method")? {
        Some(PRIVATE_KEY_JWT) => Ok(TokenEndpointAuthMethod::PrivateKeyJwt),
        // What RFC 7591 takes for a missing method is a secret, which cannot be meant here.
        None | Some("none") => Ok(TokenEndpointAuthMethod::None),
        Some(_) => {
            let problem = "'token_endpoint_auth_method' must be none or private_key_jwt";
            Err(OAuthError::invalid_client_metadata(problem))
        }
    }
}
