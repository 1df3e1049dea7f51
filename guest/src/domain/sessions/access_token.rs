//! Access tokens: JWTs (RFC 7519, RFC 9068), under the rules of RFC 8725.
//!
//! The service determines the algorithm, never the token. A token for this service itself
//! is signed with HS256: anyone who can verify one can also mint one, so its key never
//! leaves the service. A token for another service is signed with a key whose public half
//! is published, so that the other service can verify it. Neither passes for the other:
//! the audience decides which algorithms are considered.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::jwt;
use super::session::Session;
use super::signing_key::{Published, SigningKey, SigningKeys};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::{self, Grant, MAX_SCOPE_BYTES, Permission};
use crate::domain::accounts::role::{self, RoleName};
use crate::domain::accounts::username::Username;
use crate::domain::call::Call;
use crate::domain::delegations::delegation::Delegation;
use crate::domain::delegations::token_scope::TokenScope;
use crate::domain::env::Env;
use crate::error::Result;
use crate::json;
use crate::ports::{Ports, PublicKey};
use crate::storage::record;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::{self, id::Id};

/// The scope of every token: the account and the sessions of its subject.
const SCOPE: &str = "self";
/// The algorithm of tokens for this service itself.
const ALGORITHM: &str = "HS256";
/// RFC 9068 section 2.1.
const TYPE: &str = "at+jwt";
/// Longer than any token that this service issues; longer texts are rejected unread.
const MAX_BYTES: usize = 6144;

/// The claims of a token for another service (RFC 9068 section 2.2), which holds no name of
/// its user.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicClaims {
    iss: String,
    aud: String,
    sub: Id,
    /// The client that the token was issued to: this service, under its own audience.
    client_id: String,
    sid: Id,
    jti: Id,
    iat: u64,
    exp: u64,
    scope: String,
    auth_time: u64,
    acr: String,
    amr: Vec<String>,
}

/// The claims of a token for this service itself. The times are NumericDates: whole seconds
/// since 1970.
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
    claims: SignedClaims,
}

enum SignedClaims {
    Own(Claims),
    Public(PublicClaims),
}

impl Signed {
    /// Returns the session that the token claims to belong to.
    pub fn session_id(&self) -> Id {
        match &self.claims {
            SignedClaims::Own(claims) => claims.sid,
            SignedClaims::Public(claims) => claims.sid,
        }
    }

    /// Returns the key that the token claims to be signed with.
    pub fn kid(&self) -> Id {
        self.kid
    }

    /// Returns the user that the token claims to belong to.
    pub fn user_id(&self) -> Id {
        match &self.claims {
            SignedClaims::Own(claims) => claims.sub,
            SignedClaims::Public(claims) => claims.sub,
        }
    }

    /// Returns the claims if the key is valid and the token is current at this time. A
    /// token for another service does not hold the user name of its subject.
    pub fn verify(self, keys: &SigningKeys, username: &Username, now: Timestamp) -> Option<Claims> {
        let (is_valid, claims) = match self.claims {
            SignedClaims::Own(claims) => (keys.is_valid(self.kid, now), claims),
            SignedClaims::Public(claims) => {
                (keys.is_valid_for_others(self.kid, now), claims.of(username))
            }
        };
        (is_valid && claims.is_current(now)).then_some(claims)
    }

    /// Returns the claims of a token for this service itself if it is current, without a
    /// check of the key. For hosts without a store: keys that were never created sign
    /// nothing there, and keys that were ended cannot be known.
    pub fn verify_stateless(self, now: Timestamp) -> Option<Claims> {
        match self.claims {
            SignedClaims::Own(claims) => claims.is_current(now).then_some(claims),
            SignedClaims::Public(_) => None,
        }
    }
}

impl AccessToken {
    /// Issues a token of a session for an audience. It does not outlive the session.
    pub fn issue(session: &Session, audience: &str, call: &Call) -> Result<AccessToken> {
        let now = call.now();
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
        let expires_in = claims.exp.saturating_sub(claims.iat);
        let token = match audience == call.settings.audience {
            true => own(&claims, call)?,
            false => public(claims, call)?,
        };
        Ok(AccessToken { token, expires_in })
    }

    /// Issues a token of a session that was delegated to a client, for the resource server
    /// of the delegation and with this scope.
    pub fn issue_delegated(
        session: &Session,
        delegation: &Delegation,
        scope: &TokenScope,
        call: &Call,
    ) -> Result<AccessToken> {
        let now = call.now();
        let expires_at = (now + call.settings.access_token_ttl).min(session.expires_at);
        let claims = PublicClaims {
            iss: call.settings.issuer.clone(),
            aud: delegation.resource.as_str().to_owned(),
            sub: session.user_id,
            client_id: delegation.client_id.to_string(),
            sid: session.session_id,
            jti: call.ports.random.id()?,
            iat: now.seconds(),
            exp: expires_at.seconds(),
            scope: scope.to_text(),
            auth_time: session.auth_time.seconds(),
            acr: session.acr().to_owned(),
            amr: session.amr.clone(),
        };
        Ok(AccessToken {
            expires_in: claims.exp.saturating_sub(claims.iat),
            token: jwt::sign_for_others(TYPE, &claims, call)?,
        })
    }

    /// Returns the signed claims of a token, or `None` unless it was signed here for this
    /// audience. The caller must check that the key is valid, that the token is current,
    /// and that its session is alive.
    pub fn verify(token: &str, audience: &str, env: &Env) -> Result<Option<Signed>> {
        let Some(parts) = Parts::of(token) else {
            return Ok(None);
        };
        let signed = match audience == env.settings.audience {
            true => parts.verify_own(env)?,
            false => parts.verify_public(env)?,
        };
        Ok(signed.filter(|signed| {
            let (iss, aud) = match &signed.claims {
                SignedClaims::Own(claims) => (&claims.iss, &claims.aud),
                SignedClaims::Public(claims) => (&claims.iss, &claims.aud),
            };
            *iss == env.settings.issuer && aud == audience
        }))
    }

    /// Returns the audience that a token claims to have been issued for, whether or not it was
    /// issued here.
    pub fn claimed_audience(token: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Audience {
            aud: String,
        }
        let parts = Parts::of(token)?;
        Some(parse::<Audience>(parts.claims)?.aud)
    }

    /// Returns the session of a token that was issued here for this service itself, even
    /// if the token has expired.
    pub fn session_id(token: &str, call: &Call) -> Result<Option<Id>> {
        let Some(signed) = AccessToken::verify(token, &call.settings.audience, call)? else {
            return Ok(None);
        };
        let keys = SigningKeys::load(call)?;
        Ok(keys.contains(signed.kid).then_some(signed.session_id()))
    }

    /// Returns the session of a token that was issued here for any other audience, even if
    /// the token has expired.
    pub fn session_id_for_others(token: &str, env: &Env) -> Result<Option<Id>> {
        let signed = match Parts::of(token) {
            Some(parts) => parts.verify_public(env)?,
            None => None,
        };
        Ok(signed.and_then(|signed| match &signed.claims {
            SignedClaims::Public(claims) if claims.iss == env.settings.issuer => Some(claims.sid),
            _ => None,
        }))
    }
}

impl PublicClaims {
    fn new(claims: Claims, client_id: &str) -> PublicClaims {
        PublicClaims {
            iss: claims.iss,
            aud: claims.aud,
            sub: claims.sub,
            client_id: client_id.to_owned(),
            sid: claims.sid,
            jti: claims.jti,
            iat: claims.iat,
            exp: claims.exp,
            scope: claims.scope,
            auth_time: claims.auth_time,
            acr: claims.acr,
            amr: claims.amr,
        }
    }

    /// Returns the claims of a token whose subject has this name.
    fn of(self, username: &Username) -> Claims {
        Claims {
            iss: self.iss,
            aud: self.aud,
            sub: self.sub,
            sid: self.sid,
            jti: self.jti,
            iat: self.iat,
            nbf: self.iat,
            exp: self.exp,
            scope: self.scope,
            username: username.clone(),
            auth_time: self.auth_time,
            acr: self.acr,
            amr: self.amr,
        }
    }
}

/// Returns a token for this service itself.
fn own(claims: &Claims, call: &Call) -> Result<Secret> {
    let keys = SigningKeys::load(call)?;
    let Some(key) = keys.current() else {
        return Err(record::unreadable(SigningKeys::KEY, &call.ports));
    };
    let input = jwt::signing_input(TYPE, ALGORITHM, &key.kid.to_string(), claims);
    let signature = mac(key.kid, input.as_bytes(), &call.ports)?;
    Ok(jwt::with_signature(input, &signature))
}

/// Returns a token for another service.
fn public(claims: Claims, call: &Call) -> Result<Secret> {
    let claims = PublicClaims::new(claims, &call.settings.audience);
    jwt::sign_for_others(TYPE, &claims, call)
}

/// The parts of a token.
struct Parts<'a> {
    /// Header and claims as they were signed.
    signed: &'a str,
    header: jwt::Header,
    claims: &'a str,
    signature: Vec<u8>,
}

impl Parts<'_> {
    /// Splits a token, which has the type of an access token.
    fn of(token: &str) -> Option<Parts<'_>> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = parse::<jwt::Header>(header).filter(|header| header.typ == TYPE)?;
        let signature = decode(signature)?;
        Some(Parts {
            signed,
            header,
            claims,
            signature,
        })
    }

    /// Returns the claims if the signature is by a key for this service itself.
    fn verify_own(self, env: &Env) -> Result<Option<Signed>> {
        let Ok(kid) = Id::try_from(self.header.kid) else {
            return Ok(None);
        };
        if self.header.alg != ALGORITHM {
            return Ok(None);
        }
        let expected = mac(kid, self.signed.as_bytes(), &env.ports)?;
        if !bool::from(expected.as_slice().ct_eq(&self.signature)) {
            return Ok(None);
        }
        let claims = parse(self.claims).map(SignedClaims::Own);
        Ok(claims.map(|claims| Signed { kid, claims }))
    }

    /// Returns the claims if the signature is by a key that others know too. The key
    /// determines the algorithm. Without a store no such key is known.
    fn verify_public(self, env: &Env) -> Result<Option<Signed>> {
        if !env.ports.store.is_there() {
            return Ok(None);
        }
        let stored = record::read::<SigningKeys>(SigningKeys::KEY.to_owned(), &env.ports)?;
        let keys = stored.map(|stored| stored.value);
        let key = keys.as_ref().and_then(|keys| {
            let (kid, algorithm) = (&self.header.kid, &self.header.alg);
            let found = keys.published(kid);
            found.filter(|(_, published)| published.algorithm.name() == algorithm)
        });
        let Some((key, published)) = key else {
            return Ok(None);
        };
        if !self.is_signed_by(key, published, env)? {
            return Ok(None);
        }
        let (kid, claims) = (key.kid, parse(self.claims).map(SignedClaims::Public));
        Ok(claims.map(|claims| Signed { kid, claims }))
    }

    fn is_signed_by(&self, key: &SigningKey, published: &Published, env: &Env) -> Result<bool> {
        let signing = env.ports.signing;
        let public = signing.public_keys(&[key.name(published)])?.pop();
        // The thumbprint in the store proves nothing by itself.
        let public = public.filter(|public| public.kid == published.thumbprint);
        let Some(PublicKey { jwk, .. }) = public else {
            return Ok(false);
        };
        let (message, signature) = (self.signed.as_bytes(), &self.signature);
        Ok(signing.verify(published.algorithm, &jwk, message, signature)?)
    }
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

fn mac(kid: Id, message: &[u8], ports: &Ports) -> Result<[u8; 32]> {
    types::mac::of(&format!("access-token/{kid}"), message, ports)
}
