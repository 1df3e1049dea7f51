//! The bearer of an access token: the user, and what the store permits them now. Without a
//! store the token is trusted, and a session that has ended since it was issued is noticed
//! only when the token expires.

use super::access_token::{self, AccessToken, Claims};
use super::session::Session;
use super::signing_key::SigningKeys;
use crate::domain::accounts::account::Account;
use crate::domain::delegations::delegation::Parties;
use crate::domain::env::Env;
use crate::error::{AuthError, Result};
use crate::storage::record::{self, Stored};
use crate::types::id::Id;

/// The bearer of a valid access token.
pub struct Bearer {
    /// The claims of the token; the scope is what its user may do now.
    pub claims: Claims,
    /// The live session of the token; `None` if there is no store to read it from.
    pub session: Option<Session>,
}

impl Bearer {
    /// Returns the bearer of a token for this audience, or `None` if the token is not
    /// valid.
    pub fn of(audience: &str, token: &str, env: &Env) -> Result<Option<Bearer>> {
        if !env.ports.store.is_there() {
            let signed = AccessToken::verify(token, audience, env)?;
            let claims = signed.and_then(|signed| signed.verify_stateless(env.now()));
            return Ok(claims.map(|claims| Bearer {
                claims,
                session: None,
            }));
        }
        let Some(live) = live(audience, token, env)? else {
            return Ok(None);
        };
        let (account, ports) = (&live.account.value, &env.ports);
        let scope = match (&live.session.value.delegation, &live.parties) {
            // What the user has agreed to and may still give to the client.
            (Some(delegation), Some(parties)) => {
                let scope = delegation.scope_now(parties, account, ports)?;
                scope.kept(live.claims.scope.split(' ')).to_text()
            }
            _ => access_token::scope(&account.roles, ports)?,
        };
        Ok(Some(Bearer {
            claims: Claims {
                scope,
                ..live.claims
            },
            session: Some(live.session.value),
        }))
    }

    /// Returns the claims with the time, level and methods of the session as it is now,
    /// because it may have gained a second factor after the token was issued.
    pub fn current_claims(self) -> Claims {
        let Bearer { claims, session } = self;
        match session {
            None => claims,
            Some(session) => Claims {
                auth_time: session.auth_time.seconds(),
                acr: session.acr().to_owned(),
                amr: session.amr,
                ..claims
            },
        }
    }
}

/// A verified access token with its session and account, read as one snapshot.
pub struct LiveSession {
    /// The claims of the token.
    pub claims: Claims,
    /// The id of the key that signed the token.
    pub kid: Id,
    /// The session.
    pub session: Stored<Session>,
    /// The account.
    pub account: Stored<Account>,
    /// The other parties of the delegation, if the session was delegated to a client.
    pub parties: Option<Parties>,
}

/// Returns the live session of a valid access token for this service itself, or `None`
/// for any other token.
pub fn live_session(token: &str, env: &Env) -> Result<Option<Session>> {
    let live = live(&env.settings.audience, token, env)?;
    Ok(live.map(|live| live.session.value))
}

/// Returns the same for a token that was issued for this audience, together with its
/// claims and account.
pub fn live(audience: &str, token: &str, env: &Env) -> Result<Option<LiveSession>> {
    let now = env.now();
    let Some(signed) = AccessToken::verify(token, audience, env)? else {
        return Ok(None);
    };
    let keys = [
        SigningKeys::KEY.to_owned(),
        Session::key(signed.session_id()),
        Account::key(signed.user_id()),
    ];
    let (keys, session, account) =
        record::read_three::<SigningKeys, Session, Account>(keys, &env.ports)?;
    let (Some(keys), Some(session), Some(account)) = (keys, session, account) else {
        return Ok(None);
    };
    let kid = signed.kid();
    let username = &session.value.username;
    let Some(claims) = signed.verify(&keys.value, username, now) else {
        return Ok(None);
    };
    if !session.value.is_alive(&account.value, now) {
        return Ok(None);
    }
    let parties = match &session.value.delegation {
        None => None,
        // Its tokens are for the resource server only, and never act here as their user.
        Some(delegation) if delegation.resource.as_str() != audience => return Ok(None),
        Some(delegation) => match delegation.parties(env)? {
            None => return Ok(None),
            parties => parties,
        },
    };
    Ok(Some(LiveSession {
        claims,
        kid,
        session,
        account,
        parties,
    }))
}

/// Returns the live session of an access token.
///
/// Fails with -32001 for any token that is not valid.
pub fn require_session(token: &str, env: &Env) -> Result<Session> {
    match live_session(token, env)? {
        Some(session) => Ok(session),
        None => Err(AuthError::invalid_token()),
    }
}
