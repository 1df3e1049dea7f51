//! The tokens in forms, which prove that a form was filled in on a page of this service, in
//! the same browser (against CSRF).

use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::Ports;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// How long a page may be open before its form is sent.
pub const TTL: Duration = Duration::from_secs(600);

/// Returns the token of forms for a browser with this cookie.
pub fn of_cookie(cookie: &str, ports: &Ports) -> Result<String> {
    let mac = mac::of("form-token", cookie.as_bytes(), ports)?;
    Ok(mac::to_hex(&mac))
}

/// Reports whether a token is that of forms for a browser with this cookie.
pub fn is_of_cookie(token: &str, cookie: &str, ports: &Ports) -> Result<bool> {
    let expected = of_cookie(cookie, ports)?;
    Ok(expected.as_bytes().ct_eq(token.as_bytes()).into())
}

/// The token of one consent page: for one request, shown to one session, at one time.
pub struct ConsentToken {
    nonce: Id,
    shown_at: Timestamp,
}

impl ConsentToken {
    /// Creates the token of a page that is about to be shown.
    pub fn new(env: &Env) -> Result<ConsentToken> {
        Ok(ConsentToken {
            nonce: env.ports.random.id()?,
            shown_at: env.now(),
        })
    }

    /// Returns the text for the form of a page that shows these terms.
    pub fn text(&self, session_id: Id, terms: &str, ports: &Ports) -> Result<String> {
        let mac = self.mac(session_id, terms, ports)?;
        let ms = self.shown_at.ms();
        Ok(format!("{}.{ms}.{}", self.nonce, mac::to_hex(&mac)))
    }

    /// Returns the token of this text, or `None` if it is for another session or for other
    /// terms, or too old.
    pub fn parse(
        text: &str,
        session_id: Id,
        terms: &str,
        env: &Env,
    ) -> Result<Option<ConsentToken>> {
        let Some(token) = parts(text) else {
            return Ok(None);
        };
        let expected = token.text(session_id, terms, &env.ports)?;
        let is_genuine = bool::from(expected.as_bytes().ct_eq(text.as_bytes()));
        let is_current = env.now().since(token.shown_at) < TTL;
        Ok((is_genuine && is_current).then_some(token))
    }

    /// Returns the store key under which its use is noted.
    pub fn used_key(&self) -> String {
        format!("consent-used/{}", self.nonce)
    }

    fn mac(&self, session_id: Id, terms: &str, ports: &Ports) -> Result<[u8; 32]> {
        let mut message = Vec::new();
        message.extend_from_slice(session_id.as_bytes());
        message.extend_from_slice(self.nonce.as_bytes());
        message.extend_from_slice(&self.shown_at.ms().to_be_bytes());
        message.extend_from_slice(&Sha256::digest(terms));
        mac::of("consent-token", &message, ports)
    }
}

fn parts(text: &str) -> Option<ConsentToken> {
    let mut parts = text.split('.');
    let nonce = Id::try_from(parts.next()?.to_owned()).ok()?;
    let shown_at = Timestamp::from_ms(parts.next()?.parse().ok()?);
    Some(ConsentToken { nonce, shown_at })
}
