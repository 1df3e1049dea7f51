//! What clients do with the tokens that they have got: they revoke them (RFC 7009) or
//! introspect them (RFC 7662), each only its own. A client authenticates as at the token
//! endpoint.

use serde_json::json;

use super::client_authentication::authenticate;
use super::error::{OAuthError, Result};
use super::parameters::Parameters;
use crate::domain::audit::Event;
use crate::domain::call::Call;
use crate::domain::clients::client::{Client, TokenEndpointAuthMethod};
use crate::domain::delegations::client_token;
use crate::domain::sessions::session;
use crate::error;
use crate::json::JsonText;
use crate::mcp::{self, Response};
use crate::operations::{Operation, RevokeToken, introspect_for_client};
use crate::storage::retry::{self, Race};

/// Answers a form at the revocation endpoint. Any token ends all access that the client got
/// with it: section 2.1 permits that for access tokens. A token of another client, or of
/// nobody, is answered in the same way, without an effect.
pub fn revoke(form: &Parameters, authorization: Option<&str>, call: &Call) -> Response {
    let revoked = authenticate(form, authorization, call).and_then(|client| {
        let token = token(form)?;
        Ok(retry::retry_on_conflict(|| {
            end(token, &client.value, call)
        })?)
    });
    match revoked {
        Ok(()) => mcp::json_response(200, Vec::new(), JsonText::of(&json!({}))),
        Err(error) => error.respond(),
    }
}

fn end(token: &str, client: &Client, call: &Call) -> error::Result<Race<()>> {
    let Some(session) = client_token::session(token, call)? else {
        return Ok(Race::Won(()));
    };
    let delegation = session.value.delegation.as_ref();
    if delegation.is_none_or(|delegation| delegation.client_id != client.client_id) {
        return Ok(Race::Won(()));
    }
    let event = Event::success(RevokeToken::NAME)
        .by(session.value.user_id)
        .detail("client_id", client.client_id.to_string());
    session::end(&session, event, call)
}

/// Answers a form at the introspection endpoint. A public client has no access to it: anyone
/// can say that they are that client (section 2.1).
pub fn introspect(form: &Parameters, authorization: Option<&str>, call: &Call) -> Response {
    let introspected = authenticate(form, authorization, call).and_then(|client| {
        let client = client.value;
        if client.token_endpoint_auth_method() == TokenEndpointAuthMethod::None {
            return Err(OAuthError::invalid_client());
        }
        Ok(introspect_for_client(
            token(form)?,
            &client.client_id,
            call,
        )?)
    });
    match introspected {
        Ok(introspection) => mcp::json_response(200, Vec::new(), JsonText::of(&introspection)),
        Err(error) => error.respond(),
    }
}

fn token(form: &Parameters) -> Result<&str> {
    let missing = || OAuthError::invalid_request("the parameter 'token' is missing");
    form.only("token")?.ok_or_else(missing)
}
