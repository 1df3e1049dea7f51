//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-02): what a
//! client says about itself at the URL that is its id.

use super::client_metadata::{self, redirect_uris, require_among, text};
use super::client_metadata::{GRANT_TYPES, RESPONSE_TYPES};
use super::error::{OAuthError, Result};
use crate::domain::call::Call;
use crate::domain::clients::client::{Client, TokenEndpointAuthMethod};
use crate::domain::clients::document_url::DocumentUrl;
use crate::domain::clients::dynamic_registration::ClientMetadata;
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

/// The longest document (section 6.6 of the draft recommends 5 KB).
const MAX_BYTES: u32 = 5 << 10;

/// The members of a JSON Web Key that are not public (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

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
    let fetched = match fetch(url, call) {
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
fn fetch(url: &DocumentUrl, call: &Call) -> error::Result<Result<Document>> {
    throttle::count_client(call)?;
    match call.ports.documents.get(url.as_str(), MAX_BYTES) {
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
    let fields = json::fields([("url", url.as_str().into()), ("reason", reason.into())]);
    let message = "the metadata document of a client cannot be used";
    call.ports.telemetry.log(Severity::Warn, message, &fields);
    metadata_document::note_failure(url, call)?;
    Ok(None)
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
    require_public_keys(&fields)?;
    // What RFC 7591 takes for a missing method is a secret, which cannot be meant here.
    let method = match text(&fields, "token_endpoint_auth_method")? {
        None | Some("none") => TokenEndpointAuthMethod::None,
        Some(_) => return Err(invalid("'token_endpoint_auth_method' must be none")),
    };
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
    })
}

/// A private key that everybody can read says nothing about who signs with it.
fn require_public_keys(fields: &Fields) -> Result<()> {
    let Some(keys) = fields.get("jwks").and_then(|jwks| jwks.get("keys")) else {
        return Ok(());
    };
    let is_private = |key: &Node| PRIVATE_MEMBERS.iter().any(|name| key.get(name).is_some());
    match keys {
        Node::List(keys) if keys.iter().any(is_private) => {
            let problem = "'jwks' must not have private keys";
            Err(OAuthError::invalid_client_metadata(problem))
        }
        _ => Ok(()),
    }
}
