//! Verifies access tokens (RFC 9068) by the keys that the authorization server publishes.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;

/// The server says for how long keys may be kept.
const KEYS_MAX_AGE: Duration = Duration::from_secs(3600);
/// Tokens with unknown keys cost no more than a request to the server in this time.
const FETCH_INTERVAL: Duration = Duration::from_secs(30);

/// The claims that this server needs.
#[derive(Clone, Deserialize)]
pub struct Claims {
    /// The id of the user.
    pub sub: String,
    #[serde(default)]
    scope: String,
}

/// Why a request is refused.
pub enum Refusal {
    /// The request has no token.
    NoToken,
    /// The token is not valid.
    Invalid,
    /// The token lacks the scope.
    NoScope,
    /// Without the keys nothing is known of the token.
    NoKeys,
}

/// Verifies the tokens of one resource server.
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: Mutex<Option<(JwkSet, Instant)>>,
}

impl Verifier {
    /// Creates a verifier of tokens that this issuer made for this audience.
    pub fn new(issuer: String, audience: String) -> Verifier {
        Verifier {
            issuer,
            audience,
            keys: Mutex::new(None),
        }
    }

    /// Returns the claims of the token in the header field `Authorization`, if it is valid and
    /// has this scope.
    pub async fn verify(&self, authorization: &str, scope: &str) -> Result<Claims, Refusal> {
        // RFC 9110 section 11.1: the scheme is case-insensitive.
        let token = match authorization.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Refusal::NoToken),
        };
        let header = decode_header(token).map_err(|_| Refusal::Invalid)?;
        let kid = header.kid.ok_or(Refusal::Invalid)?;
        // Tokens of other kinds may have the same key (RFC 9068 section 4).
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Refusal::Invalid);
        }
        let key = self.key(&kid).await?.ok_or(Refusal::Invalid)?;
        let claims = self.claims(&key, token).ok_or(Refusal::Invalid)?;
        match claims.scope.split(' ').any(|granted| granted == scope) {
            true => Ok(claims),
            false => Err(Refusal::NoScope),
        }
    }

    fn claims(&self, key: &Jwk, token: &str) -> Option<Claims> {
        // The algorithm is that of the key, whatever the token says.
        let algorithm = Algorithm::try_from(key.common.key_algorithm?).ok()?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        let key = DecodingKey::from_jwk(key).ok()?;
        Some(decode(token, &key, &validation).ok()?.claims)
    }

    async fn key(&self, kid: &str) -> Result<Option<Jwk>, Refusal> {
        let mut keys = self.keys.lock().await;
        let known = keys.as_ref().is_some_and(|(set, fetched)| {
            let max_age = match set.find(kid) {
                Some(_) => KEYS_MAX_AGE,
                None => FETCH_INTERVAL,
            };
            fetched.elapsed() < max_age
        });
        if !known {
            let set = self.fetch().await.map_err(|_| Refusal::NoKeys)?;
            *keys = Some((set, Instant::now()));
        }
        let found = keys.as_ref().and_then(|(set, _)| set.find(kid));
        Ok(found.cloned())
    }

    async fn fetch(&self) -> reqwest::Result<JwkSet> {
        let response = reqwest::get(format!("{}/jwks", self.issuer)).await?;
        response.error_for_status()?.json().await
    }
}
