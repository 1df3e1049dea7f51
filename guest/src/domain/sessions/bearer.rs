//! The bearer of an access token: whose it is and what they may do, as the store has
//! it now. Where there is no store, the token is believed: what was ended since it was
//! issued is then known only when it expires.

use super::access_token::{self, AccessToken, Claims};
use super::session::Session;
use crate::domain::access::actor::Actor;
use crate::domain::context::Context;
use crate::error::Result;

/// Who shows a good access token.
pub struct Bearer {
    /// What the token says; its scope is what its owner may do now.
    pub claims: Claims,
    /// The live session that it belongs to; none: there is no store to have it.
    pub session: Option<Session>,
}

impl Bearer {
    /// Of a token for this audience; `None`: it is not good.
    pub fn of(audience: &str, token: &str, context: &Context) -> Result<Option<Bearer>> {
        if !context.ports.store.is_there() {
            let signed = AccessToken::verify(token, audience, context)?;
            let claims = signed.and_then(|signed| signed.stated(context.now()));
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

    /// Who acts with it.
    pub fn into_actor(self) -> Actor {
        match self.session {
            Some(session) => Actor::User(Box::new(session)),
            None => Actor::Bearer(Box::new(self.claims)),
        }
    }
}
