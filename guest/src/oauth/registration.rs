//! The registration endpoint (RFC 7591 section 3): a client says what it is, and gets an id.

use super::client_metadata::{self, GRANT_TYPES, RESPONSE_TYPES};
use super::error::{OAuthError, Result};
use super::metadata::REGISTER;
use super::metadata_document;
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::dynamic_registration::{self, ClientMetadata};
use crate::domain::env::Env;
use crate::json::JsonText;
use crate::mcp::{self, Response};
use crate::settings::OAuth;
use crate::types::secret::Secret;

/// Answers the metadata of a client, as JSON.
pub fn answer(body: &[u8], oauth: &OAuth, call: &Call) -> Response {
    match register(body, oauth, call) {
        Ok(document) => mcp::json_response(201, no_store(), document),
        Err(error) => error.respond(),
    }
}

fn register(body: &[u8], oauth: &OAuth, call: &Call) -> Result<JsonText> {
    let metadata = client_metadata::read(&client_metadata::parse_object(body)?, None)?;
    require_keys_in_reach(&metadata, call)?;
    let registered = dynamic_registration::register(&metadata, call)?;
    let secrets = Secrets {
        access_token: registered.access_token.as_ref().map(Secret::expose),
        client_secret: registered.client_secret.as_ref().map(Secret::expose),
    };
    Ok(information(&registered.client, &secrets, oauth))
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

/// Secrets that only the client itself is shown. The store has only their hashes.
pub(super) struct Secrets<'a> {
    /// The token with which it manages its registration, if it has one.
    pub access_token: Option<&'a str>,
    /// A secret that was just issued.
    pub client_secret: Option<&'a str>,
}

/// Returns what is registered of a client (RFC 7591 section 3.2.1).
pub(super) fn information(client: &Client, secrets: &Secrets, oauth: &OAuth) -> JsonText {
    let method = client.token_endpoint_auth_method();
    JsonText::object(|mut document| {
        document = document
            .field("client_id", &client.client_id)
            .field("client_id_issued_at", &client.created_at.seconds())
            .field("client_name", &client.client_name)
            .field("redirect_uris", &client.redirect_uris)
            .field("token_endpoint_auth_method", method.as_str())
            .field("grant_types", &GRANT_TYPES[..])
            .field("response_types", &RESPONSE_TYPES[..]);
        if let Some(keys) = client.keys() {
            document = match keys.url() {
                Some(url) => document.field("jwks_uri", url),
                None => document.field("jwks", &keys.node()),
            };
        }
        if let Some(token) = secrets.access_token {
            let issuer = oauth.public_url.as_str();
            let uri = format!("{issuer}{REGISTER}?client_id={}", client.client_id);
            document = document
                .field("registration_access_token", token)
                .field("registration_client_uri", &uri);
        }
        if let Some(secret) = secrets.client_secret {
            // It ends with the registration only.
            document = document
                .field("client_secret", secret)
                .field("client_secret_expires_at", &0_u64);
        }
        document
    })
}

/// RFC 7591 section 3.2.1.
pub(super) fn no_store() -> Vec<(String, String)> {
    vec![("cache-control".to_owned(), "no-store".to_owned())]
}
