//! API keys: what a program shows to be known (`X-API-Key`). A key acts for its
//! account, and may do what both its scopes and the account's roles permit.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::audit::{Chain, Event, Head};
use super::context::Context;
use super::id::Id;
use super::mac;
use super::permission::Grant;
use super::records::{self, Batch, Found, Stored};
use super::role::Granted;
use super::secret::Secret;
use super::time::Timestamp;
use crate::error::Result;
use crate::ports::{Expect, Ports};

/// So that secret scanners can tell what they have found.
const PREFIX: &str = "uak_";
const LENGTH: usize = 16 + 32;
/// An account has no more keys than these, expired ones included.
pub const MAX_PER_ACCOUNT: u32 = 100;
const MAX_NAME_CHARS: usize = 100;
const MAX_SCOPES: usize = 64;
const MAX_DAYS: u64 = 3650;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the owner of a key calls it: 1 to 100 characters, none of which is a
/// control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_NAME_CHARS))]
pub struct KeyName(String);

/// What a key may do at the most: 64 grants, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Grant>", into = "Vec<Grant>")]
#[schemars(with = "Vec<Grant>", extend("maxItems" = MAX_SCOPES))]
pub struct Scopes(Vec<Grant>);

/// How long a key is good: 1 to 3,650 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(with = "u64", extend("minimum" = 1, "maximum" = MAX_DAYS))]
pub struct Days(u64);

/// An API key, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// Identifies the key; no secret.
    pub key_id: Id,
    /// Whom it acts for.
    pub user_id: Id,
    /// What its owner calls it.
    pub name: KeyName,
    /// What it may do at the most.
    pub scopes: Scopes,
    /// When it was made, or made anew.
    pub created_at: Timestamp,
    /// When it ends; none: not by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The keyed hash of its secret.
    hash: String,
}

/// Whether this is an API key, good or not, and no access token.
pub fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
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
        name: KeyName,
        scopes: Scopes,
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

    /// What it may do now: what its scopes and what the roles of its account
    /// grant have in common. Of two grants one holds the other whole, or they have
    /// nothing in common.
    pub fn effective(&self, granted: &[Granted]) -> Vec<Grant> {
        let mut common = Vec::new();
        for grant in granted.iter().flat_map(|granted| &granted.permissions) {
            for scope in self.scopes.as_slice() {
                if grant.covers(scope) {
                    common.push(scope.clone());
                } else if scope.covers(grant) {
                    common.push(grant.clone());
                }
            }
        }
        common.sort_unstable();
        common.dedup();
        common
    }
}

/// Ends a key for good: the key, its place in the account's list, and the record
/// of it go in one batch, on this head of the account's audit chain. False: a race
/// was lost.
pub fn end(
    key: &Stored<ApiKey>,
    head: Found<Head>,
    event: Event,
    context: &Context,
) -> Result<bool> {
    let ApiKey {
        key_id, user_id, ..
    } = key.value;
    let event = event.detail("key_id", key_id.to_string());
    let mut batch = Batch::new();
    batch.delete(ApiKey::key(key_id), Expect::At(key.version.clone()));
    batch.delete(ApiKey::index_key(user_id, key_id), Expect::Any);
    Chain::at(user_id, head).append(event, &mut batch, context)?;
    batch.commit(context)
}

/// The ids of all keys of an account. Whoever has read the head of the account's
/// audit chain before, and commits on it, has seen them all.
pub fn ids_of(user_id: Id, ports: &Ports) -> Result<Vec<Id>> {
    let prefix = ApiKey::index_prefix(user_id);
    let page = ports.store.scan(&prefix, None, MAX_PER_ACCOUNT)?;
    let ids = page.entries.iter().map(|entry| {
        Id::try_from(entry.key[prefix.len()..].to_owned())
            .map_err(|_| records::unreadable(&entry.key, ports))
    });
    ids.collect()
}

/// Ends all keys of an account, in the batch of a change of the account that goes
/// on with its audit chain, such as a reset of its password or its deletion.
pub fn end_all(user_id: Id, batch: &mut Batch, ports: &Ports) -> Result<()> {
    for key_id in ids_of(user_id, ports)? {
        batch.delete(ApiKey::key(key_id), Expect::Any);
        batch.delete(ApiKey::index_key(user_id, key_id), Expect::Any);
    }
    Ok(())
}

impl TryFrom<String> for KeyName {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<KeyName, Self::Error> {
        let is_long = text.chars().nth(MAX_NAME_CHARS).is_some();
        if text.trim().is_empty() || is_long || text.chars().any(char::is_control) {
            return Err("expected 1 to 100 characters, without control characters");
        }
        Ok(KeyName(text))
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> String {
        name.0
    }
}

impl Scopes {
    /// One by one.
    pub fn as_slice(&self) -> &[Grant] {
        &self.0
    }
}

impl TryFrom<Vec<Grant>> for Scopes {
    type Error = &'static str;

    fn try_from(mut grants: Vec<Grant>) -> std::result::Result<Scopes, Self::Error> {
        if grants.len() > MAX_SCOPES {
            return Err("expected 64 scopes at the most");
        }
        grants.sort_unstable();
        grants.dedup();
        Ok(Scopes(grants))
    }
}

impl From<Scopes> for Vec<Grant> {
    fn from(scopes: Scopes) -> Vec<Grant> {
        scopes.0
    }
}

impl Days {
    /// That many days after `now`.
    pub fn after(self, now: Timestamp) -> Timestamp {
        now + DAY * u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

impl TryFrom<u64> for Days {
    type Error = &'static str;

    fn try_from(days: u64) -> std::result::Result<Days, Self::Error> {
        match days {
            1..=MAX_DAYS => Ok(Days(days)),
            _ => Err("expected 1 to 3650 days"),
        }
    }
}

fn hash(secret: &[u8], ports: &Ports) -> Result<String> {
    Ok(mac::to_hex(&mac::of("api-key-hash", secret, ports)?))
}
