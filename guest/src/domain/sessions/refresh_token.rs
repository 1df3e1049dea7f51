//! Refresh tokens, which are opaque to clients and valid for one use.
//!
//! A token contains its session and generation, 256 random bits, and a MAC over all three.
//! The MAC distinguishes a genuine token that was used before (which ends the session,
//! since someone holds a copy) from a forged one (which must not end any session).

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
    /// Creates the token of a session's generation.
    pub fn create(session_id: Id, generation: u32, ports: &Ports) -> Result<RefreshToken> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(session_id.as_bytes());
        bytes[16..SECRET_AT].copy_from_slice(&generation.to_be_bytes());
        ports.random.fill(&mut bytes[SECRET_AT..MAC_AT])?;
        RefreshToken::sealed(session_id, generation, bytes, ports)
    }

    /// Returns the token that follows this one in its session: the same each time, and
    /// unknown to whoever has this one, because a key of the host goes into it.
    pub fn successor(&self, ports: &Ports) -> Result<RefreshToken> {
        let generation = self.generation.saturating_add(1);
        let secret = Zeroizing::new(mac::of("refresh-token-next", self.bytes.as_slice(), ports)?);
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(self.session_id.as_bytes());
        bytes[16..SECRET_AT].copy_from_slice(&generation.to_be_bytes());
        bytes[SECRET_AT..MAC_AT].copy_from_slice(secret.as_slice());
        RefreshToken::sealed(self.session_id, generation, bytes, ports)
    }

    fn sealed(
        session_id: Id,
        generation: u32,
        mut bytes: Zeroizing<[u8; LENGTH]>,
        ports: &Ports,
    ) -> Result<RefreshToken> {
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
