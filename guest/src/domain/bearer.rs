//! The bearer of an access token: the user, and what the store permits them now. Without a
//! store the token is trusted, and a session that has ended since it was issued is noticed
//! only when the token expires.

use super::access_token::{self, AccessToken, Claims};
use super::actor::Actor;
use super::context::Context;
use super::session::Session;
use crate::error::Result;

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
    pub fn of(audience: &str, token: &str, context: &Context) -> Result<Option<Bearer>> {
        if !context.ports.store.is_there() {
            let signed = AccessToken::verify(token, audience, context)?;
            let claims = signed.and_then(|signed| signed.verify_stateless(context.now()));
            return Ok(claims.map(|claims| Bearer {
                claims,
                session: None,
            }));
        }
        let Some(live) = Session::of_access_token_for(audience, token, context)? else {
            return Ok(None);
        };
        let scope = access_token::scope(&live.account.value.roles, &context.ports)?;
        Ok(Some(Bearer {
            claims: Claims {
                scope,
                ..live.claims
            },
            session: Some(live.session.value),
        }))
    }

    /// Returns the actor that the token authenticates.
    pub fn into_actor(self) -> Actor {
        match self.session {
            Some(session) => Actor::User(Box::new(session)),
            None => Actor::Bearer(Box::new(self.claims)),
        }
    }
}
