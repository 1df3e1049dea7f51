//! The client configuration endpoint (RFC 7592): a client that is not public reads, changes or
//! deletes its registration.

use super::bearer_token;
use super::client_metadata::{self, text};
use super::error::{OAuthError, Result};
use super::parameters::Parameters;
use super::registration::{Secrets, information, no_store, require_keys_in_reach};
use crate::domain::audit::Head;
use crate::domain::call::Call;
use crate::domain::clients::client::{Client, Registration};
use crate::domain::clients::client_id::ClientId;
use crate::domain::clients::dynamic_registration;
use crate::error::AuthError;
use crate::json::Fields;
use crate::mcp::{self, Response};
use crate::settings::OAuth;
use crate::storage::record::{Found, Stored};
use crate::storage::retry::Race;

/// How often a change is tried again because something else happened to the registration.
const MAX_ATTEMPTS: usize = 10;

/// A request of a client about its registration.
pub struct ClientRequest<'a> {
    /// `GET`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// The query, which names the client.
    pub query: &'a str,
    /// The header field `authorization`, with the registration access token.
    pub authorization: Option<&'a str>,
    /// The body, which is read for `PUT`.
    pub body: &'a [u8],
}

/// Answers a request.
pub fn answer(request: &ClientRequest, oauth: &OAuth, call: &Call) -> Response {
    let Some(token) = bearer_token::read(request.authorization) else {
        return bearer_token::required();
    };
    for _ in 0..MAX_ATTEMPTS {
        match attempt(request, token, oauth, call) {
            Ok(Race::Won(response)) => return response,
            Ok(Race::Lost) => {}
            Err(error) => return error.respond(),
        }
    }
    OAuthError::of(&AuthError::unavailable(std::time::Duration::from_secs(1))).respond()
}

fn attempt(
    request: &ClientRequest,
    token: &str,
    oauth: &OAuth,
    call: &Call,
) -> Result<Race<Response>> {
    let (client, head) = authenticate(request.query, token, call)?;
    let show = |client: &Client| {
        let secrets = Secrets {
            access_token: Some(token),
            client_secret: None,
        };
        mcp::json_response(200, no_store(), information(client, &secrets, oauth))
    };
    match request.method {
        "PUT" => {
            let fields = client_metadata::parse_object(request.body)?;
            require_own(&fields, &client.value, call)?;
            let method = client.value.token_endpoint_auth_method();
            let metadata = client_metadata::read(&fields, Some(method))?;
            require_keys_in_reach(&metadata, call)?;
            let updated = dynamic_registration::update(&client, head, &metadata, call)?;
            Ok(updated.map(|client| show(&client)))
        }
        "DELETE" => {
            let deleted = dynamic_registration::delete(&client, head, call)?;
            Ok(deleted.map(|()| Response {
                status: 204,
                headers: no_store(),
                body: None,
            }))
        }
        _ => Ok(Race::Won(show(&client.value))),
    }
}

/// Returns the client that the query names, if this is its token. A client that does not
/// exist is answered like a wrong token (RFC 7592 section 2.1).
fn authenticate(query: &str, token: &str, call: &Call) -> Result<(Stored<Client>, Found<Head>)> {
    let invalid = OAuthError::invalid_registration_token;
    let query = Parameters::parse(query.as_bytes()).unwrap_or_default();
    let client_id = query.only("client_id")?.unwrap_or_default();
    let client_id = ClientId::try_from(client_id.to_owned()).map_err(|_| invalid())?;
    let (client, head) = dynamic_registration::read(&client_id, &call.ports)?;
    let client = client.ok_or_else(invalid)?;
    let Registration::Dynamic(registration) = &client.value.registration else {
        return Err(invalid());
    };
    match registration.has_access_token(&client_id, token, &call.ports)? {
        true => Ok((client, head)),
        false => Err(invalid()),
    }
}

/// RFC 7592 section 2.2: a client names its id, and its secret only as it is.
fn require_own(fields: &Fields, client: &Client, call: &Call) -> Result<()> {
    let invalid = OAuthError::invalid_client_metadata;
    if text(fields, "client_id")? != Some(client.client_id.to_string().as_str()) {
        return Err(invalid("'client_id' must be the id of the client"));
    }
    if let Some(secret) = text(fields, "client_secret")?
        && !client.has_secret(secret, &call.ports)?
    {
        return Err(invalid("'client_secret' must be the secret of the client"));
    }
    Ok(())
}
