//! Id tokens: they tell a client who has signed in, when and how (OpenID Connect Core 1.0
//! section 2). Nothing accepts them in the place of an access token, whose type differs.

use serde::Serialize;

use super::jwt;
use super::session::Session;
use crate::domain::call::Call;
use crate::domain::delegations::delegation::Delegation;
use crate::error::Result;
use crate::types::id::Id;
use crate::types::secret::Secret;

/// The type of the token (RFC 7519 section 5.1).
const TYPE: &str = "JWT";

/// The claims. A client that wants to know more asks the userinfo endpoint.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: String,
    sub: Id,
    iat: u64,
    exp: u64,
    auth_time: u64,
    acr: &'a str,
    amr: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

/// Issues an id token for the client of a delegation. It is valid as long as an access token,
/// and repeats the `nonce` of the authorization request.
pub fn issue(
    session: &Session,
    delegation: &Delegation,
    nonce: Option<&str>,
    call: &Call,
) -> Result<Secret> {
    let now = call.now();
    let claims = Claims {
        iss: &call.settings.issuer,
        aud: delegation.client_id.to_string(),
        sub: session.user_id,
        iat: now.seconds(),
        exp: (now + call.settings.access_token_ttl).seconds(),
        auth_time: session.auth_time.seconds(),
        acr: session.acr(),
        amr: &session.amr,
        nonce,
    };
    jwt::sign_for_others(TYPE, &claims, call)
}
