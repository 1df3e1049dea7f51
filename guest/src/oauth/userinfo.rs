//! The userinfo endpoint (OpenID Connect Core 1.0 section 5.3): a client asks who the user
//! is who has signed in for it.

use serde::Serialize;

use super::bearer_token;
use super::error::{OAuthError, Result};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::email::Email;
use crate::domain::accounts::username::Username;
use crate::domain::call::Call;
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::bearer::Bearer;
use crate::json::JsonText;
use crate::mcp::{self, Response};
use crate::types::id::Id;

/// What a client learns of a user: what its scopes include.
#[derive(Serialize)]
struct UserInfo {
    sub: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<Username>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

/// Answers a request with this `Authorization` header.
pub fn answer(authorization: Option<&str>, call: &Call) -> Response {
    let Some(token) = bearer_token::read(authorization) else {
        return bearer_token::required();
    };
    match read(token, call) {
        Ok(info) => {
            let no_store = ("cache-control".to_owned(), "no-store".to_owned());
            mcp::json_response(200, vec![no_store], JsonText::of(&info))
        }
        Err(error) => error.respond(),
    }
}

/// The token may be for any resource server: a client has one token, and the server that it
/// is for learns nothing here that the user has not agreed to tell.
fn read(token: &str, call: &Call) -> Result<UserInfo> {
    let invalid = || OAuthError::new("invalid_token", "the access token is not valid");
    let audience = AccessToken::claimed_audience(token);
    let bearer = Bearer::of(&audience.ok_or_else(invalid)?, token, call)?;
    let bearer = bearer.ok_or_else(invalid)?;
    let is_delegated = bearer.session.is_some_and(|it| it.delegation.is_some());
    let scope = bearer.claims.scope.split(' ');
    let identity = IdentityScope::among(scope);
    if !is_delegated || identity.is_empty() {
        let problem = "the user has not agreed to the scope openid";
        return Err(OAuthError::new("insufficient_scope", problem));
    }
    let account = Account::find(bearer.claims.sub, &call.ports)?;
    let account = account.ok_or_else(invalid)?.value;
    let of = |scope| identity.contains(&scope);
    // Some clients take an address for proof of who the user is, without a look at the flag.
    let is_shown = account.email_verified && of(IdentityScope::Email);
    let is_own = account.has_own_username();
    let username = Some(account.username).filter(|_| is_own);
    let email = account.email.filter(|_| is_shown);
    Ok(UserInfo {
        sub: account.user_id,
        preferred_username: username.filter(|_| of(IdentityScope::Profile)),
        email_verified: email.as_ref().map(|_| true),
        email,
    })
}
