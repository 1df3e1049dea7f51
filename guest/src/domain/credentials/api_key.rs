//! API keys: the credentials of programs (`X-API-Key`). A key acts for its account, and
//! may do only what both its scopes and the account's roles permit.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::accounts::permission::Grant;
use crate::domain::accounts::role::Granted;
use crate::domain::accounts::scopes::Scopes;
use crate::domain::audit::{Chain, Event, Head};
use crate::domain::call::Call;
use crate::domain::display_text::DisplayText;
use crate::domain::env::Env;
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::ground::AuthoritySource;
use crate::storage::record::{self, Found, Stored};
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Lets secret scanners identify the key.
const PREFIX: &str = "uak_";
const LENGTH: usize = 16 + 32;
/// The most keys that an account can have, including expired ones.
pub const MAX_PER_ACCOUNT: u32 = 100;
/// The number of those keys that only the account's sessions can create: a key with few
/// permissions must not prevent the owner from creating one.
pub const RESERVED_FOR_SESSIONS: u32 = 10;
const MAX_DAYS: u64 = 3650;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The lifetime of an API key: 1 to 3,650 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(with = "u64", extend("minimum" = 1, "maximum" = MAX_DAYS))]
pub struct Days(u64);

/// The creator of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The account itself. A key that was created with an API key inherits the origin of
    /// that key.
    Account {
        /// The session that created the key, if known.
        session_id: Option<Id>,
        /// When it was created.
        at: Timestamp,
    },
    /// Another account, or the operator.
    Another,
}

/// Which API keys end together with sessions of their account: all, none, or by default
/// the recent ones. Recent keys are those that an ended session created or rotated, either
/// itself or through an API key that it had created, no longer ago than the maximum
/// lifetime of a session.
// Without comments on the variants, the schema is a plain list in every operation that
// takes this type.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndApiKeys {
    #[default]
    Recent,
    All,
    None,
}

/// The sessions of an account that end.
#[derive(Clone, Copy, Debug)]
pub enum EndedSessions {
    /// All sessions.
    All,
    /// All sessions except this one.
    AllBut(Id),
    /// Only this session.
    Only(Id),
}

/// An API key, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiKey {
    /// The id of the key, which is not secret.
    pub key_id: Id,
    /// The account that the key acts for.
    pub user_id: Id,
    /// The name that the owner chose.
    pub name: DisplayText,
    /// The upper bound of what the key may do.
    pub scopes: Scopes,
    /// When the key was created or last rotated.
    pub created_at: Timestamp,
    /// When the key expires; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// When the key was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// The creator of the key, or the actor who last rotated it; `None` if that was not
    /// recorded.
    #[serde(default)]
    origin: Option<Origin>,
    /// The keyed hash of the secret.
    hash: String,
}

/// Reports whether the text has the form of an API key, valid or not, rather than of an
/// access token.
pub fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl ApiKey {
    /// Returns the store key of an API key.
    pub fn key(key_id: Id) -> String {
        format!("api-key/{key_id}")
    }

    /// Returns the store key of the index entry that lists this key under its account.
    pub fn index_key(user_id: Id, key_id: Id) -> String {
        format!("{}{key_id}", ApiKey::index_prefix(user_id))
    }

    /// Returns the prefix of the index entries of all keys of an account.
    pub fn index_prefix(user_id: Id) -> String {
        format!("account-api-key/{user_id}/")
    }

    /// Creates a key, and the secret that its owner sees once.
    pub fn create(
        key_id: Id,
        user_id: Id,
        name: DisplayText,
        scopes: Scopes,
        expires_at: Option<Timestamp>,
        origin: Origin,
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
            origin: Some(origin),
            hash: hash(bytes.as_slice(), ports)?,
        };
        Ok((key, Secret::new(format!("{PREFIX}{}", *encoded))))
    }

    /// Returns the key that this secret belongs to, or `None` if it is not valid.
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
        let found = record::read::<ApiKey>(ApiKey::key(Id::from_bytes(key_id)), ports)?;
        let now = ports.clock.now();
        Ok(found.filter(|key| {
            bool::from(key.value.hash.as_bytes().ct_eq(hash.as_bytes())) && !key.value.is_over(now)
        }))
    }

    /// Reports whether the key has expired.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    /// Returns what the key may do now, role by role: the intersection of its scopes and
    /// what the role grants. Of two grants, either one covers the other completely or they
    /// have nothing in common.
    pub fn effective(&self, granted: &[Granted]) -> Vec<Vec<Grant>> {
        let in_common = |granted: &Granted| {
            let mut common = Vec::new();
            for grant in &granted.permissions {
                for scope in self.scopes.as_slice() {
                    if grant.covers(scope) {
                        common.push(scope.clone());
                    } else if scope.covers(grant) {
                        common.push(grant.clone());
                    }
                }
            }
            common
        };
        granted.iter().map(in_common).collect()
    }

    /// Returns the origin of the key. Older keys do not record it; they were created by
    /// their own account.
    pub fn origin(&self) -> Origin {
        self.origin.unwrap_or(Origin::Account {
            session_id: None,
            at: self.created_at,
        })
    }

    /// Reports whether one of the ending sessions may have created the key.
    fn is_of(&self, ended: EndedSessions, env: &Env) -> bool {
        let Origin::Account { session_id, at } = self.origin() else {
            return false;
        };
        env.now().since(at) <= env.settings.session_absolute
            && match ended {
                EndedSessions::All => true,
                EndedSessions::AllBut(kept) => session_id != Some(kept),
                EndedSessions::Only(ended) => session_id == Some(ended),
            }
    }
}

impl AuthoritySource for ApiKey {
    fn record_key(&self) -> String {
        ApiKey::key(self.key_id)
    }

    /// The hash of the secret, which changes with each rotation.
    fn basis(&self) -> String {
        self.hash.clone()
    }
}

/// Ends a key permanently: one batch on this head of the account's audit chain deletes the
/// key and its index entry and records the event.
pub fn end(key: &Stored<ApiKey>, head: Found<Head>, event: Event, call: &Call) -> Result<Race<()>> {
    let ApiKey {
        key_id, user_id, ..
    } = key.value;
    let event = event.detail("key_id", key_id.to_string());
    let mut batch = Batch::new();
    end_in(&mut batch, key);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(()))
}

/// Returns the ids of all keys of an account. A caller that read the head of the account's
/// audit chain first, and commits on it, has seen all of them.
pub fn ids_of(user_id: Id, ports: &Ports) -> Result<Vec<Id>> {
    let prefix = ApiKey::index_prefix(user_id);
    let page = ports.store.scan(&prefix, None, MAX_PER_ACCOUNT)?;
    let ids = page.entries.iter().map(|entry| {
        Id::try_from(entry.key[prefix.len()..].to_owned())
            .map_err(|_| record::unreadable(&entry.key, ports))
    });
    ids.collect()
}

/// Returns the keys of an account. To be sure that none is missing when a batch is
/// committed, read the head of the account's audit chain first, and commit on it.
pub fn all_of(user_id: Id, ports: &Ports) -> Result<Vec<Stored<ApiKey>>> {
    let keys: Vec<String> = ids_of(user_id, ports)?
        .into_iter()
        .map(ApiKey::key)
        .collect();
    let mut all = Vec::with_capacity(keys.len());
    for entry in ports.store.get(&keys)? {
        // A key that was revoked in the meantime is absent.
        all.extend(record::parse::<ApiKey>(entry, ports)?);
    }
    Ok(all)
}

/// Ends all keys of an account, in the batch of a change to the account that extends its
/// audit chain, such as a password reset or a deletion.
pub fn end_all(user_id: Id, batch: &mut Batch, ports: &Ports) -> Result<()> {
    for key in all_of(user_id, ports)? {
        end_in(batch, &key);
    }
    Ok(())
}

/// Ends API keys of an account together with its sessions, in the batch of a change that
/// extends the account's audit chain. Returns the ids of the keys.
///
/// A thief who had a session may have created keys, which would outlive it.
pub fn end_with_sessions(
    which: EndApiKeys,
    ended: EndedSessions,
    user_id: Id,
    batch: &mut Batch,
    env: &Env,
) -> Result<Vec<Id>> {
    if which == EndApiKeys::None {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for key in all_of(user_id, &env.ports)? {
        if which == EndApiKeys::All || key.value.is_of(ended, env) {
            end_in(batch, &key);
            ids.push(key.value.key_id);
        }
    }
    Ok(ids)
}

fn end_in(batch: &mut Batch, key: &Stored<ApiKey>) {
    let ApiKey {
        key_id, user_id, ..
    } = key.value;
    batch.end(key);
    batch.delete(ApiKey::index_key(user_id, key_id), Expect::Any);
}

impl Days {
    /// Returns the time this many days after `now`.
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
