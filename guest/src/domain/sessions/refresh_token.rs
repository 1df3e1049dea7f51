//! Refresh tokens, which are opaque to clients and replaced by their use.
//!
//! A token contains its session and generation, 256 secret bits, and a MAC over all three.
//! The MAC distinguishes a genuine token that was replaced before (which may end the
//! session, since someone holds a copy) from a forged one (which must not end any session).
//!
//! The secret bits of the first token of a session are random. Those of each further token
//! are a MAC of the one before under a key of the host: whoever uses a token twice gets the
//! same successor, and nothing has to be stored for that. The store holds a keyed hash of
//! the current token only, which leads to no token. A token that was stolen leads to later
//! ones through this service only, and therefore within the grace of its replacement only
//! ([`rotation`](super::rotation)), or with the master key, which would forge the access
//! tokens of every session anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::Ports;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;

/// Lets secret scanners identify the token.
const PREFIX: &str = "uar_";
const SECRET_AT: usize = 20;
const MAC_AT: usize = SECRET_AT + 32;
const LENGTH: usize = MAC_AT + 32;

/// A refresh token that this service issued, valid or not.
pub struct RefreshToken {
    session_id: Id,
    generation: u32,
    bytes: Zeroizing<[u8; LENGTH]>,
}

/// The stored form of a refresh token: a keyed hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefreshTokenHash(String);

impl RefreshToken {
    /// Creates the first token of a session, of generation 0.
    pub fn create(session_id: Id, ports: &Ports) -> Result<RefreshToken> {
        let mut secret = Zeroizing::new([0; 32]);
        ports.random.fill(secret.as_mut_slice())?;
        RefreshToken::with_secret(session_id, 0, &secret, ports)
    }

    /// Returns the token that replaces this one, which is always the same.
    pub fn successor(&self, ports: &Ports) -> Result<RefreshToken> {
        let secret = mac::of("refresh-token-successor", self.bytes.as_slice(), ports)?;
        let secret = Zeroizing::new(secret);
        let generation = self.generation.saturating_add(1);
        RefreshToken::with_secret(self.session_id, generation, &secret, ports)
    }

    fn with_secret(
        session_id: Id,
        generation: u32,
        secret: &[u8; 32],
        ports: &Ports,
    ) -> Result<RefreshToken> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(session_id.as_bytes());
        bytes[16..SECRET_AT].copy_from_slice(&generation.to_be_bytes());
        bytes[SECRET_AT..MAC_AT].copy_from_slice(secret);
        let mac = mac::of("refresh-token", &bytes[..MAC_AT], ports)?;
        bytes[MAC_AT..].copy_from_slice(&mac);
        Ok(RefreshToken {
            session_id,
            generation,
            bytes,
        })
    }

    /// Returns the token, or `None` if this service did not issue it.
    pub fn parse(text: &str, ports: &Ports) -> Result<Option<RefreshToken>> {
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let mut bytes = Zeroizing::new([0; LENGTH]);
        if URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()) != Ok(LENGTH) {
            return Ok(None);
        }
        let expected = mac::of("refresh-token", &bytes[..MAC_AT], ports)?;
        if !bool::from(expected.ct_eq(&bytes[MAC_AT..])) {
            return Ok(None);
        }
        let mut session_id = [0; 16];
        session_id.copy_from_slice(&bytes[..16]);
        let mut generation = [0; 4];
        generation.copy_from_slice(&bytes[16..SECRET_AT]);
        Ok(Some(RefreshToken {
            session_id: Id::from_bytes(session_id),
            generation: u32::from_be_bytes(generation),
            bytes,
        }))
    }

    /// Returns the session that the token belongs to.
    pub fn session_id(&self) -> Id {
        self.session_id
    }

    /// Returns the number of tokens that came before this one in its session.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the hash to store in place of the token.
    pub fn hash(&self, ports: &Ports) -> Result<RefreshTokenHash> {
        let hash = mac::of("refresh-token-hash", self.bytes.as_slice(), ports)?;
        Ok(RefreshTokenHash(URL_SAFE_NO_PAD.encode(hash)))
    }

    /// Reports whether the stored hash is that of this token.
    pub fn matches(&self, stored: &RefreshTokenHash, ports: &Ports) -> Result<bool> {
        let hash = self.hash(ports)?;
        Ok(hash.0.as_bytes().ct_eq(stored.0.as_bytes()).into())
    }

    /// Returns the text that the user receives.
    pub fn to_secret(&self) -> Secret {
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.bytes.as_slice()));
        Secret::new(format!("{PREFIX}{}", *encoded))
    }
}
