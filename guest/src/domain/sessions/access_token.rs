//! Access tokens: JWTs (RFC 7519, RFC 9068) signed with HS256, under the rules of
//! RFC 8725.
//!
//! The algorithm is ours to say, never the token's. With HS256 whoever can
//! verify can also mint, so no key ever leaves: other services ask
//! `verify_token` or `introspect_token`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::session::Session;
use super::signing_key::SigningKeys;
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{self, Grant, MAX_SCOPE_BYTES, Permission};
use crate::domain::accounts::role::{self, RoleName};
use crate::domain::accounts::username::Username;
use crate::domain::context::Context;
use crate::error::Result;
use crate::json;
use crate::ports::Ports;
use crate::storage::record;
use crate::types::id::Id;
use crate::types::mac::{self, HmacSha256};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// What every token permits: its subject's own account and sessions.
const SCOPE: &str = "self";
const ALGORITHM: &str = "HS256";
/// RFC 9068 section 2.1.
const TYPE: &str = "at+jwt";
/// Longer than any token of ours; nothing longer is looked at.
const MAX_BYTES: usize = 6144;

/// What the header of a token says: this and nothing else, so that `crit`,
/// `jku`, `jwk` and the like are refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: Id,
}

/// What a token says. The times are NumericDates: whole seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Whose it is: the user id.
    pub sub: Id,
    /// The session that it belongs to.
    pub sid: Id,
    /// Its own id.
    pub jti: Id,
    /// When it was issued.
    pub iat: u64,
    /// From when it is good.
    pub nbf: u64,
    /// Until when it is good.
    pub exp: u64,
    /// What it permits (RFC 6749 section 3.3): [`scope`] of its owner's roles when it
    /// was issued.
    pub scope: String,
    /// The name of whose it is.
    pub username: Username,
    /// When its owner proved who they are (RFC 9068 section 2.2.1).
    pub auth_time: u64,
    /// How surely they did.
    pub acr: String,
    /// How they did (RFC 8176).
    pub amr: Vec<String>,
}

impl Claims {
    /// Whether it is good at this time.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.nbf <= now.seconds() && now.seconds() < self.exp
    }

    /// Whether the scope has this permission in it.
    pub fn permits(&self, permission: &Permission) -> bool {
        let mut grants = self.scope.split(' ').filter(|grant| *grant != SCOPE);
        grants.any(|grant| {
            Grant::try_from(grant.to_owned()).is_ok_and(|grant| grant.permits(permission))
        })
    }
}

/// The scope of an account with these roles: `self`, and what the roles grant, as it is
/// now, as far as a token has room for it.
pub fn scope(roles: &[RoleName], ports: &Ports) -> Result<String> {
    // Most have none, and that takes no look at the store.
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

/// An access token that has been issued.
pub struct AccessToken {
    /// The token.
    pub token: Secret,
    /// How long it is good, in seconds.
    pub expires_in: u64,
}

/// What a token says that has the right signature of the key that it names.
/// Whether that key is good is yet to be seen, so its claims cannot be had
/// without the keys.
pub struct Signed {
    kid: Id,
    claims: Claims,
}

impl Signed {
    /// The session that it says it belongs to.
    pub fn session_id(&self) -> Id {
        self.claims.sid
    }

    /// The key that it says it was signed by.
    pub fn kid(&self) -> Id {
        self.kid
    }

    /// Whose it says it is.
    pub fn user_id(&self) -> Id {
        self.claims.sub
    }

    /// What it says, if it is good at this time.
    pub fn current(self, keys: &SigningKeys, now: Timestamp) -> Option<Claims> {
        let is_good = keys.accept(self.kid, now) && self.claims.is_current(now);
        is_good.then_some(self.claims)
    }

    /// The same where no store tells which keys are good: those that nobody has made
    /// sign nothing, and of those that were ended nothing is known.
    pub fn stated(self, now: Timestamp) -> Option<Claims> {
        self.claims.is_current(now).then_some(self.claims)
    }
}

impl AccessToken {
    /// A token of a session for an audience. It does not outlive the session.
    pub fn issue(session: &Session, audience: &str, context: &Context) -> Result<AccessToken> {
        let now = context.now();
        let keys = SigningKeys::load(context)?;
        let Some(key) = keys.current() else {
            return Err(record::unreadable(SigningKeys::KEY, &context.ports));
        };
        let expires_at = (now + context.settings.access_token_ttl).min(session.expires_at);
        let account = record::read::<Account>(Account::key(session.user_id), &context.ports)?;
        let roles = account.map_or_else(Vec::new, |account| account.value.roles);
        let claims = Claims {
            iss: context.settings.issuer.clone(),
            aud: audience.to_owned(),
            sub: session.user_id,
            sid: session.session_id,
            jti: context.ports.random.id()?,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: expires_at.seconds(),
            scope: scope(&roles, &context.ports)?,
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
        let signature = signature_mac(key.kid, token.as_bytes(), &context.ports)?
            .finalize()
            .into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(AccessToken {
            token: Secret::new(token),
            expires_in: claims.exp.saturating_sub(claims.iat),
        })
    }

    /// What a token says, if it was signed here for this audience; whether its
    /// key is good, it is current and its session alive is the caller's to ask.
    pub fn verify(token: &str, audience: &str, context: &Context) -> Result<Option<Signed>> {
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
        let mac = signature_mac(header.kid, signed.as_bytes(), &context.ports)?;
        if mac.verify_slice(&signature).is_err() {
            return Ok(None);
        }
        let claims = parse::<Claims>(claims)
            .filter(|claims| claims.iss == context.settings.issuer && claims.aud == audience);
        Ok(claims.map(|claims| Signed {
            kid: header.kid,
            claims,
        }))
    }

    /// The session of a token that was issued here for ourselves, be it expired.
    pub fn session_id(token: &str, context: &Context) -> Result<Option<Id>> {
        let Some(signed) = AccessToken::verify(token, &context.settings.audience, context)? else {
            return Ok(None);
        };
        let keys = SigningKeys::load(context)?;
        Ok(keys.know(signed.kid).then_some(signed.claims.sid))
    }
}

/// What is signed, the header, the claims and the signature.
fn split(token: &str) -> Option<(&str, &str, &str, &str)> {
    if token.len() > MAX_BYTES {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    Some((signed, header, claims, signature))
}

fn encode<T: Serialize>(part: &T) -> String {
    // Neither part has anything in it that JSON cannot say.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap_or_default())
}

/// Strict: no padding, no white space, and the unused bits of the last
/// character are zero, so that a token has one spelling only.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// What a part of a token says: a JSON object (RFC 7519 section 7.2), with nothing in
/// it twice. Its numbers are integers as this service writes them: 30.0, which callers
/// may write for 30, would be a second spelling.
fn parse<T: DeserializeOwned>(part: &str) -> Option<T> {
    json::from_plain_object(&decode(part)?).ok()
}

fn signature_mac(kid: Id, message: &[u8], ports: &Ports) -> Result<HmacSha256> {
    let mut mac = mac::keyed(&format!("access-token/{kid}"), ports)?;
    mac.update(message);
    Ok(mac)
}
