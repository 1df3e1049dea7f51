//! API keys: what a program shows to be known (`X-API-Key`). A key acts for its
//! account, and may do what both its scopes and the account's roles permit.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::id::Id;
use super::mac;
use super::permission::Grant;
use super::records::{self, Found};
use super::secret::Secret;
use super::time::Timestamp;
use crate::error::Result;
use crate::ports::Ports;

/// So that secret scanners can tell what they have found.
const PREFIX: &str = "uak_";
const LENGTH: usize = 16 + 32;

/// An API key, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Identifies the key; no secret.
    pub key_id: Id,
    /// Whom it acts for.
    pub user_id: Id,
    /// What its owner calls it.
    pub name: String,
    /// What it may do at the most.
    pub scopes: Vec<Grant>,
    /// When it was made, or made anew.
    pub created_at: Timestamp,
    /// When it ends; none: not by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The keyed hash of its secret.
    hash: String,
}

impl ApiKey {
    /// Where a key is stored.
    pub fn key(key_id: Id) -> String {
        format!("api-key/{key_id}")
    }

    /// Where it is stored that an account has this key.
    pub fn index_key(user_id: Id, key_id: Id) -> String {
        format!("{}{key_id}", ApiKey::index_prefix(user_id))
    }

    /// All keys of an account.
    pub fn index_prefix(user_id: Id) -> String {
        format!("account-api-key/{user_id}/")
    }

    /// A new key, and the secret that its owner gets to see once.
    pub fn create(
        key_id: Id,
        user_id: Id,
        name: String,
        scopes: Vec<Grant>,
        expires_at: Option<Timestamp>,
        ports: &Ports,
    ) -> Result<(ApiKey, Secret)> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(key_id.as_bytes());
        ports.random.fill(&mut bytes[16..])?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let key = ApiKey {
            key_id,
            user_id,
            name,
            scopes,
            created_at: ports.clock.now(),
            expires_at,
            last_used_at: None,
            hash: hash(bytes.as_slice(), ports)?,
        };
        Ok((key, Secret::new(format!("{PREFIX}{}", *encoded))))
    }

    /// The key that this secret belongs to, if it is a good one.
    pub fn authenticate(secret: &str, ports: &Ports) -> Result<Found<ApiKey>> {
        let Some(encoded) = secret.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        let mut bytes = Zeroizing::new([0; LENGTH]);
        if URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()) != Ok(LENGTH) {
            return Ok(None);
        }
        let mut key_id = [0; 16];
        key_id.copy_from_slice(&bytes[..16]);
        let hash = hash(bytes.as_slice(), ports)?;
        let found = records::read::<ApiKey>(ApiKey::key(Id::from_bytes(key_id)), ports)?;
        let now = ports.clock.now();
        Ok(found.filter(|key| {
            bool::from(key.value.hash.as_bytes().ct_eq(hash.as_bytes())) && !key.value.is_over(now)
        }))
    }

    /// Whether it has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }
}

fn hash(secret: &[u8], ports: &Ports) -> Result<String> {
    Ok(mac::to_hex(&mac::of("api-key-hash", secret, ports)?))
}
