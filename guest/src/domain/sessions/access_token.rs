//! Access tokens: JWTs (RFC 7519, RFC 9068) signed with HS256, under the rules of RFC
//! 8725.
//!
//! The service determines the algorithm, never the token. Anyone who can verify an HS256
//! token can also mint one, so no key ever leaves the service: other services call
//! `verify_token` or `introspect_token`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::session::Session;
use super::signing_key::SigningKeys;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{self, Grant, MAX_SCOPE_BYTES, Permission};
use crate::domain::accounts::role::{self, RoleName};
use crate::domain::accounts::username::Username;
use crate::domain::call::Call;
use crate::domain::env::Env;
use crate::error::Result;
use crate::json;
use crate::ports::Ports;
use crate::storage::record;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// The scope of every token: the account and the sessions of its subject.
const SCOPE: &str = "self";
const ALGORITHM: &str = "HS256";
/// RFC 9068 section 2.1.
const TYPE: &str = "at+jwt";
/// Longer than any token that this service issues; longer texts are rejected unread.
const MAX_BYTES: usize = 6144;

/// The header of a token. It allows exactly these fields, so that `crit`, `jku`, `jwk` and
/// the like are rejected.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: Id,
}

/// The claims of a token. The times are NumericDates: whole seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The subject: the user id.
    pub sub: Id,
    /// The session that the token belongs to.
    pub sid: Id,
    /// The id of the token.
    pub jti: Id,
    /// When the token was issued.
    pub iat: u64,
    /// When the token becomes valid.
    pub nbf: u64,
    /// When the token expires.
    pub exp: u64,
    /// The scope (RFC 6749 section 3.3): the [`scope`] of the user's roles at the time of
    /// issue.
    pub scope: String,
    /// The user name of the subject.
    pub username: Username,
    /// When the user authenticated (RFC 9068 section 2.2.1).
    pub auth_time: u64,
    /// The authentication context class (`acr`): `aal1` or `aal2`.
    pub acr: String,
    /// The authentication methods that the user completed (RFC 8176).
    pub amr: Vec<String>,
}

impl Claims {
    /// Reports whether the token is valid at this time.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.nbf <= now.seconds() && now.seconds() < self.exp
    }

    /// Reports whether the scope contains this permission.
    pub fn permits(&self, permission: &Permission) -> bool {
        let mut grants = self.scope.split(' ').filter(|grant| *grant != SCOPE);
        grants.any(|grant| {
            Grant::try_from(grant.to_owned()).is_ok_and(|grant| grant.permits(permission))
        })
    }
}

/// Returns the scope of an account with these roles: `self`, followed by what the roles
/// grant now, as far as it fits into a token.
pub fn scope(roles: &[RoleName], ports: &Ports) -> Result<String> {
    // Most accounts have no roles, and need no read of the store.
    if roles.is_empty() {
        return Ok(SCOPE.to_owned());
    }
    let granted = role::granted(roles, ports)?.into_iter();
    let by_role = granted.map(|granted| granted.permissions).collect();
    let mut scope = SCOPE.to_owned();
    for grant in permission::summary(by_role, MAX_SCOPE_BYTES - SCOPE.len()) {
        scope.push(' ');
        scope.push_str(grant.as_str());
    }
    Ok(scope)
}

/// An access token that was issued.
pub struct AccessToken {
    /// The token as text.
    pub token: Secret,
    /// The lifetime of the token in seconds.
    pub expires_in: u64,
}

/// The claims of a token with a correct signature under the key that it names. Whether
/// that key is valid has not been checked yet, so the claims are not accessible without
/// the signing keys.
pub struct Signed {
    kid: Id,
    claims: Claims,
}

impl Signed {
    /// Returns the session that the token claims to belong to.
    pub fn session_id(&self) -> Id {
        self.claims.sid
    }

    /// Returns the key that the token claims to be signed with.
    pub fn kid(&self) -> Id {
        self.kid
    }

    /// Returns the user that the token claims to belong to.
    pub fn user_id(&self) -> Id {
        self.claims.sub
    }

    /// Returns the claims if the key is valid and the token is current at this time.
    pub fn verify(self, keys: &SigningKeys, now: Timestamp) -> Option<Claims> {
        let is_good = keys.is_valid(self.kid, now) && self.claims.is_current(now);
        is_good.then_some(self.claims)
    }

    /// Returns the claims if the token is current, without a check of the key. For hosts
    /// without a store: keys that were never created sign nothing there, and keys that
    /// were ended cannot be known.
    pub fn verify_stateless(self, now: Timestamp) -> Option<Claims> {
        self.claims.is_current(now).then_some(self.claims)
    }
}

impl AccessToken {
    /// Issues a token of a session for an audience. It does not outlive the session.
    pub fn issue(session: &Session, audience: &str, call: &Call) -> Result<AccessToken> {
        let now = call.now();
        let keys = SigningKeys::load(call)?;
        let Some(key) = keys.current() else {
            return Err(record::unreadable(SigningKeys::KEY, &call.ports));
        };
        let expires_at = (now + call.settings.access_token_ttl).min(session.expires_at);
        let account = record::read::<Account>(Account::key(session.user_id), &call.ports)?;
        let roles = account.map_or_else(Vec::new, |account| account.value.roles);
        let claims = Claims {
            iss: call.settings.issuer.clone(),
            aud: audience.to_owned(),
            sub: session.user_id,
            sid: session.session_id,
            jti: call.ports.random.id()?,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: expires_at.seconds(),
            scope: scope(&roles, &call.ports)?,
            username: session.username.clone(),
            auth_time: session.auth_time.seconds(),
            acr: session.acr().to_owned(),
            amr: session.amr.clone(),
        };
        let header = Header {
            alg: ALGORITHM.to_owned(),
            typ: TYPE.to_owned(),
            kid: key.kid,
        };
        let mut token = encode(&header);
        token.push('.');
        token.push_str(&encode(&claims));
        let signature = sign(key.kid, token.as_bytes(), &call.ports)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(AccessToken {
            token: Secret::new(token),
            expires_in: claims.exp.saturating_sub(claims.iat),
        })
    }

    /// Returns the signed claims of a token, or `None` unless it was signed here for this
    /// audience. The caller must check that the key is valid, that the token is current,
    /// and that its session is alive.
    pub fn verify(token: &str, audience: &str, env: &Env) -> Result<Option<Signed>> {
        let Some((signed, header, claims, signature)) = split(token) else {
            return Ok(None);
        };
        let Some(header) = parse::<Header>(header) else {
            return Ok(None);
        };
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Ok(None);
        }
        let Some(signature) = decode(signature) else {
            return Ok(None);
        };
        let expected = sign(header.kid, signed.as_bytes(), &env.ports)?;
        if !bool::from(expected.as_slice().ct_eq(&signature)) {
            return Ok(None);
        }
        let claims = parse::<Claims>(claims)
            .filter(|claims| claims.iss == env.settings.issuer && claims.aud == audience);
        Ok(claims.map(|claims| Signed {
            kid: header.kid,
            claims,
        }))
    }

    /// Returns the session of a token that was issued here for this service itself, even
    /// if the token has expired.
    pub fn session_id(token: &str, call: &Call) -> Result<Option<Id>> {
        let Some(signed) = AccessToken::verify(token, &call.settings.audience, call)? else {
            return Ok(None);
        };
        let keys = SigningKeys::load(call)?;
        Ok(keys.contains(signed.kid).then_some(signed.claims.sid))
    }
}

/// Splits a token into the signed part, the header, the claims and the signature.
fn split(token: &str) -> Option<(&str, &str, &str, &str)> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    Some((signed, header, claims, signature))
}

fn encode<T: Serialize>(part: &T) -> String {
    URL_SAFE_NO_PAD.encode(json::to_vec(part))
}

/// Decodes strictly: no padding, no white space, and zero in the unused bits of the last
/// character, so that each token has exactly one spelling.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// Parses a part of a token: a JSON object (RFC 7519 section 7.2) without duplicate
/// fields. Its numbers must be integers as this service writes them: 30.0, which callers
/// may write instead of 30, would be a second spelling.
fn parse<T: DeserializeOwned>(part: &str) -> Option<T> {
    json::from_plain_object(&decode(part)?).ok()
}

fn sign(kid: Id, message: &[u8], ports: &Ports) -> Result<[u8; 32]> {
    mac::of(&format!("access-token/{kid}"), message, ports)
}
