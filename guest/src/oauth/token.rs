//! The token endpoint (RFC 6749 section 3.2): a code or a refresh token in, tokens out.

use serde_json::{Value, json};

use super::authorization_request;
use super::client_authentication::authenticate;
use super::error::{OAuthError, Result};
use super::parameters::Parameters;
use crate::domain::accounts::account::Account;
use crate::domain::audit::{Chain, Event, Head, event_name};
use crate::domain::call::Call;
use crate::domain::clients::client::Client;
use crate::domain::clients::dynamic_registration;
use crate::domain::delegations::authorization_code::{self, AuthorizationCode, CodeState};
use crate::domain::delegations::delegation::Delegation;
use crate::domain::delegations::identity_scope::IdentityScope;
use crate::domain::delegations::token_scope::TokenScope;
use crate::domain::resources::resource_url::ResourceUrl;
use crate::domain::resources::scope::Scope;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::id_token;
use crate::domain::sessions::refresh::{self, Holder};
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::{self, Session};
use crate::error::{self, AuthError};
use crate::json::JsonText;
use crate::mcp::{self, Response};
use crate::storage::batch::Batch;
use crate::storage::record::{Found, Stored};
use crate::storage::retry::{self, Race};

/// Answers a form, with this `Authorization` header if there is one.
pub fn answer(form: &Parameters, authorization: Option<&str>, call: &Call) -> Response {
    let answered = exchange(form, authorization, call);
    answered.unwrap_or_else(|error| error.respond())
}

fn exchange(form: &Parameters, authorization: Option<&str>, call: &Call) -> Result<Response> {
    let client = authenticate(form, authorization, call)?;
    let tokens = match form.only("grant_type")? {
        Some("authorization_code") => of_code(form, &client.value, call)?,
        Some("refresh_token") => of_refresh_token(form, &client.value, call)?,
        None => {
            let problem = "the parameter 'grant_type' is missing";
            return Err(OAuthError::invalid_request(problem));
        }
        Some(_) => {
            let problem = "the parameter 'grant_type' must be authorization_code or refresh_token";
            return Err(OAuthError::new("unsupported_grant_type", problem));
        }
    };
    // The tokens are issued, and the next use extends the registration if this one fails to.
    let _ = dynamic_registration::extend(&client, call);
    Ok(mcp::json_response(200, Vec::new(), JsonText::of(&tokens)))
}

/// Issues the tokens of a session that was delegated to a client. An id token, for a client
/// that may know who the user is, has this `nonce`.
fn tokens(
    session: &Session,
    delegation: &Delegation,
    scope: &TokenScope,
    nonce: Option<&str>,
    refresh_token: &RefreshToken,
    call: &Call,
) -> error::Result<Value> {
    let access_token = AccessToken::issue_delegated(session, delegation, scope, call)?;
    let refresh_token = refresh_token.to_secret();
    let mut tokens = json!({
        "access_token": access_token.token.expose(),
        "token_type": "Bearer",
        "expires_in": access_token.expires_in,
        "refresh_token": refresh_token.expose(),
        "scope": scope.to_text(),
    });
    if scope.identity.contains(&IdentityScope::Openid) {
        let id_token = id_token::issue(session, delegation, nonce, call)?;
        tokens["id_token"] = id_token.expose().into();
    }
    Ok(tokens)
}

fn required<'a>(form: &'a Parameters, name: &str) -> Result<&'a str> {
    form.only(name)?
        .ok_or_else(|| OAuthError::invalid_request(format!("the parameter '{name}' is missing")))
}

/// Fails with `invalid_target` if the form names a resource server that is not the one of
/// the delegation (RFC 8707 section 2.2).
fn check_resource(form: &Parameters, delegation: &Delegation) -> Result<()> {
    let mut named = form.all("resource").map(str::to_owned);
    match named.all(|named| ResourceUrl::try_from(named).as_ref() == Ok(&delegation.resource)) {
        true => Ok(()),
        false => {
            let problem = "the grant is for another resource server";
            Err(OAuthError::new("invalid_target", problem))
        }
    }
}

fn of_code(form: &Parameters, client: &Client, call: &Call) -> Result<Value> {
    let text = required(form, "code")?;
    // Before the code is looked at: a request without these is a mistake of its client, and
    // must not cost it the code.
    required(form, "code_verifier")?;
    form.only("redirect_uri")?;
    retry::retry_on_conflict(|| redeem(text, form, client, call))?
}

/// One attempt to exchange a code. The inner result is that of the exchange.
fn redeem(
    text: &str,
    form: &Parameters,
    client: &Client,
    call: &Call,
) -> error::Result<Race<Result<Value>>> {
    let ports = &call.ports;
    let state = match authorization_code::read(text, ports)? {
        None => return Ok(Race::Won(Err(OAuthError::invalid_grant()))),
        Some(state) => state,
    };
    let code = match &state.value {
        CodeState::Used {
            session_id,
            challenge,
        } => {
            let verifier = form.first("code_verifier").unwrap_or_default();
            // OAuth 2.1 section 4.1.3 asks for a second valid request. Someone who has only the
            // code, for instance from a log, must not end the grant.
            if !challenge.is_of(verifier) {
                return Ok(Race::Won(Err(OAuthError::invalid_grant())));
            }
            // RFC 6749 section 4.1.2: the first use may have been a thief's. This holds for two
            // uses at the same time as well, or a thief would only have to be fast. A client
            // that sends a code twice loses what it got by it, and has to ask its user again.
            let ended = match Session::read(*session_id, ports)? {
                Some(session) => session::end(
                    &session,
                    Event::refused(event_name::EXCHANGE_CODE, "reused"),
                    call,
                )?,
                None => Race::Won(()),
            };
            return Ok(ended.map(|()| Err(OAuthError::invalid_grant())));
        }
        CodeState::Unused(code) => code,
    };
    let (account, head) = Account::read(code.user_id, ports)?;
    let account = account
        .filter(|account| account.value.is_active() && account.value.session_epoch == code.epoch);
    let parties = code.delegation.parties(call)?;
    let fits = check_code(code, form, client, call);
    let (account, parties) = match (fits, account, parties) {
        (Ok(()), Some(account), Some(parties)) => (account.value, parties),
        (fits, ..) => {
            let error = fits.err().unwrap_or_else(OAuthError::invalid_grant);
            return refuse(text, &state, code, head, error, call);
        }
    };
    let (session, refresh_token) = Session::begin_delegated(&account, code, call)?;
    let delegation = &code.delegation;
    let scope = delegation.scope_now(&parties, &account, ports)?;
    let nonce = code.nonce.as_deref();
    let tokens = tokens(&session, delegation, &scope, nonce, &refresh_token, call)?;
    let mut batch = Batch::new();
    let session_id = session.session_id;
    authorization_code::use_up(text, &state.version, code, session_id, &mut batch, ports)?;
    session.store(&mut batch);
    let event = Event::success(event_name::EXCHANGE_CODE)
        .by(code.user_id)
        .detail("session_id", session_id.to_string())
        .detail("client_id", delegation.client_id.to_string())
        .detail("resource", delegation.resource.as_str())
        .detail("scope", scope.to_text());
    Chain::at(code.user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(Ok(tokens)))
}

/// Fails unless the client of the code has shown it, as the code demands.
fn check_code(
    code: &AuthorizationCode,
    form: &Parameters,
    client: &Client,
    call: &Call,
) -> Result<()> {
    let redirect_uri = form.first("redirect_uri");
    let verifier = form.only("code_verifier")?.unwrap_or_default();
    let is_good = code.delegation.client_id == client.client_id
        && redirect_uri.is_none_or(|uri| uri == code.redirect_uri.as_str())
        && code.challenge.is_of(verifier)
        && !code.is_over(call.now())
        && !code.is_revoked(&call.ports)?;
    if !is_good {
        return Err(OAuthError::invalid_grant());
    }
    check_resource(form, &code.delegation)
}

/// Revokes a code that was presented wrongly: a thief gets no second attempt.
fn refuse(
    text: &str,
    state: &Stored<CodeState>,
    code: &AuthorizationCode,
    head: Found<Head>,
    error: OAuthError,
    call: &Call,
) -> error::Result<Race<Result<Value>>> {
    let event = Event::refused(event_name::EXCHANGE_CODE, error.code)
        .detail("client_id", code.delegation.client_id.to_string());
    let mut batch = Batch::new();
    authorization_code::revoke(text, state, &mut batch, &call.ports)?;
    Chain::at(code.user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(Err(error)))
}

fn of_refresh_token(form: &Parameters, client: &Client, call: &Call) -> Result<Value> {
    let ports = &call.ports;
    let text = required(form, "refresh_token")?;
    let Some(token) = RefreshToken::parse(text, ports)? else {
        return Err(OAuthError::invalid_grant());
    };
    let asked = authorization_request::scope(form)?;
    let holder = Holder::Client(&client.client_id);
    // Judged before the token is used up.
    if let Some(session) = Session::read(token.session_id(), ports)?
        && let Some(delegation) = &session.value.delegation
        && delegation.client_id == client.client_id
    {
        check_resource(form, delegation)?;
        check_narrowed(&delegation.scope(), asked.as_ref())?;
    }
    let issue = |session: &Session, refresh_token: &RefreshToken| {
        let delegation = session
            .delegation
            .as_ref()
            .ok_or_else(AuthError::invalid_token)?;
        let parties = delegation.parties(call)?;
        let account = Account::find(session.user_id, ports)?;
        let both = parties.zip(account);
        let (parties, account) = both.ok_or_else(AuthError::invalid_token)?;
        let scope = delegation.scope_now(&parties, &account.value, ports)?;
        let scope = match &asked {
            Some(asked) => scope.kept(asked.tokens()),
            None => scope,
        };
        tokens(session, delegation, &scope, None, refresh_token, call)
    };
    match refresh::refresh(event_name::REFRESH_DELEGATION, &token, holder, issue, call)? {
        Some(tokens) => Ok(tokens),
        None => Err(OAuthError::invalid_grant()),
    }
}

/// Fails with `invalid_scope` if a client asks for more than was delegated (RFC 6749 section
/// 6).
fn check_narrowed(delegated: &TokenScope, asked: Option<&Scope>) -> Result<()> {
    let is_held = |asked: &str| delegated.names().any(|name| name == asked);
    match asked.is_none_or(|asked| asked.tokens().all(is_held)) {
        true => Ok(()),
        false => {
            let problem = "the scope exceeds what was granted";
            Err(OAuthError::new("invalid_scope", problem))
        }
    }
}
