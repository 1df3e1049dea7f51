//! The registration endpoint (RFC 7591 section 3): a client says what it is, and gets an id.

use serde_json::{Value, json};

use super::client_metadata::{self, GRANT_TYPES, RESPONSE_TYPES};
use super::error::{OAuthError, Result};
use super::metadata::REGISTER;
use super::metadata_document;
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::dynamic_registration::{self, ClientMetadata};
use crate::domain::env::Env;
use crate::json::{self, JsonText, Node};
use crate::mcp::{self, Response};
use crate::settings::OAuth;

/// Answers the metadata of a client, as JSON.
pub fn answer(body: &[u8], oauth: &OAuth, call: &Call) -> Response {
    let registered = register(body, oauth, call);
    match registered {
        Ok(document) => mcp::json_response(201, no_store(), JsonText::of(&document)),
        Err(error) => error.respond(),
    }
}

fn register(body: &[u8], oauth: &OAuth, call: &Call) -> Result<Value> {
    let metadata = client_metadata::read(&client_metadata::parse_object(body)?, None)?;
    require_keys_in_reach(&metadata, call)?;
    let registered = dynamic_registration::register(&metadata, call)?;
    let access_token = registered.access_token.as_ref();
    let access_token = access_token.map(|token| token.expose());
    let mut document = information(&registered.client, access_token, oauth);
    if let Some(secret) = &registered.client_secret {
        document["client_secret"] = secret.expose().into();
        // It ends with the registration only.
        document["client_secret_expires_at"] = 0.into();
    }
    Ok(document)
}

/// Fails if the keys of a client are at a URL, and nothing is fetched here.
pub(super) fn require_keys_in_reach(metadata: &ClientMetadata, env: &Env) -> Result<()> {
    let url = metadata.keys.as_ref().and_then(|keys| keys.url());
    match url.is_none() || metadata_document::is_supported(env) {
        true => Ok(()),
        false => {
            let problem = "'jwks_uri': keys at a URL are not fetched here; register 'jwks'";
            Err(OAuthError::invalid_client_metadata(problem))
        }
    }
}

/// Returns what is registered of a client (RFC 7591 section 3.2.1), with the token with
/// which it manages that, if it has one. Its secret is stored as a hash, and is not known.
pub(super) fn information(client: &Client, access_token: Option<&str>, oauth: &OAuth) -> Value {
    let mut document = json!({
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at.seconds(),
        "client_name": client.client_name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": client.token_endpoint_auth_method(),
        "grant_types": GRANT_TYPES,
        "response_types": RESPONSE_TYPES,
    });
    if let Some(keys) = client.keys() {
        match keys.url() {
            Some(url) => document["jwks_uri"] = url.into(),
            None => {
                let jwks = json::parse(keys.as_str().as_bytes()).unwrap_or(Node::Null);
                document["jwks"] = jwks.into();
            }
        }
    }
    if let Some(token) = access_token {
        let issuer = oauth.public_url.as_str();
        let uri = format!("{issuer}{REGISTER}?client_id={}", client.client_id);
        document["registration_access_token"] = token.into();
        document["registration_client_uri"] = uri.into();
    }
    document
}

/// RFC 7591 section 3.2.1.
pub(super) fn no_store() -> Vec<(String, String)> {
    vec![("cache-control".to_owned(), "no-store".to_owned())]
}
