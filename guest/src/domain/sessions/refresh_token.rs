//! Refresh tokens: opaque to everyone else, and good for one use.
//!
//! A token carries the session and the generation that it belongs to, 256 random
//! bits, and a MAC over all three. The MAC is what tells a token of ours that
//! has been used (which ends the session: somebody has a copy) from a made-up
//! one (which must not end anybody's session).

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

/// So that secret scanners can tell what they have found.
const PREFIX: &str = "uar_";
const SECRET_AT: usize = 20;
const MAC_AT: usize = SECRET_AT + 32;
const LENGTH: usize = MAC_AT + 32;

/// A refresh token that was issued here, whether it is still good or not.
pub struct RefreshToken {
    session_id: Id,
    generation: u32,
    bytes: Zeroizing<[u8; LENGTH]>,
}

/// What is stored of a refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RefreshTokenHash(String);

impl RefreshToken {
    /// The token of a session's generation.
    pub fn create(session_id: Id, generation: u32, ports: &Ports) -> Result<RefreshToken> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(session_id.as_bytes());
        bytes[16..SECRET_AT].copy_from_slice(&generation.to_be_bytes());
        ports.random.fill(&mut bytes[SECRET_AT..MAC_AT])?;
        let mac = mac::of("refresh-token", &bytes[..MAC_AT], ports)?;
        bytes[MAC_AT..].copy_from_slice(&mac);
        Ok(RefreshToken {
            session_id,
            generation,
            bytes,
        })
    }

    /// The token, if it was issued here.
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

    /// The session that it belongs to.
    pub fn session_id(&self) -> Id {
        self.session_id
    }

    /// How many came before it in its session.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What to store of it.
    pub fn hash(&self, ports: &Ports) -> Result<RefreshTokenHash> {
        let hash = mac::of("refresh-token-hash", self.bytes.as_slice(), ports)?;
        Ok(RefreshTokenHash(URL_SAFE_NO_PAD.encode(hash)))
    }

    /// Whether this is the token that was stored.
    pub fn matches(&self, stored: &RefreshTokenHash, ports: &Ports) -> Result<bool> {
        let hash = self.hash(ports)?;
        Ok(hash.0.as_bytes().ct_eq(stored.0.as_bytes()).into())
    }

    /// The text that its owner gets.
    pub fn to_secret(&self) -> Secret {
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.bytes.as_slice()));
        Secret::new(format!("{PREFIX}{}", *encoded))
    }
}
