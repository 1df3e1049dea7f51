//! The keys that sign access tokens.
//!
//! The host derives a key from its master secret under its id (`kid`, RFC 7515 section
//! 4.1.4), so the stored record only shows that the key exists. A key that is not stored
//! neither signs nor verifies anything, although the host could derive it from its id.

use serde::{Deserialize, Serialize};

use crate::domain::audit::{Chain, Head};
use crate::domain::call::{self, Call};
use crate::domain::env::Env;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::Ports;
use crate::storage::batch::Batch;
use crate::storage::ground;
use crate::storage::record::{self, Found, Stored};
use crate::storage::retry::Race;
use crate::types::id::Id;
use crate::types::time::Timestamp;

/// The first digits of session ids. Each has its own marker that a key was ended, so that
/// stores that lock the expected keys of a batch do not serialise all sessions.
const LANES: &str = "0123456789abcdef";
/// The most keys that are kept; those that no longer verify anything are removed first.
const MAX_KEYS: usize = 20;

/// A signing key, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The key id in tokens.
    pub kid: Id,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the last token that it signed expires; `None` while it is the key that signs.
    pub retires_at: Option<Timestamp>,
}

/// All signing keys; the last one signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningKeys(Vec<SigningKey>);

impl SigningKeys {
    /// The store key of the signing keys.
    pub const KEY: &'static str = "signing-keys";

    /// Loads the keys, and creates the first one if there is none.
    pub fn load(call: &Call) -> Result<SigningKeys> {
        call::retry_on_conflict(call, |call| {
            let found = record::read(SigningKeys::KEY.to_owned(), &call.ports)?;
            if let Some(Stored { value, .. }) = found {
                return Ok(Race::Won(value));
            }
            let keys = SigningKeys(vec![SigningKey::new(call)?]);
            let mut batch = Batch::new();
            batch.create(SigningKeys::KEY.to_owned(), &keys);
            Ok(call.commit(batch)?.then(keys))
        })
    }

    /// Reads the keys and the head of the chain that records their changes, as one
    /// snapshot.
    pub fn read(ports: &Ports) -> Result<(Found<SigningKeys>, Found<Head>)> {
        let head = Chain::head_key(Chain::shared());
        record::read_both([SigningKeys::KEY.to_owned(), head], ports)
    }

    /// Marks all keys as ended, in the batch of a rotation that ends them: an actor with a
    /// token signed by one of them commits nothing after that.
    pub fn end_all(&self, batch: &mut Batch) {
        for key in &self.0 {
            for lane in LANES.chars() {
                batch.mark(ended_mark(key.kid, lane));
            }
        }
    }

    /// Returns the keys as a slice; the last one signs.
    pub fn as_slice(&self) -> &[SigningKey] {
        &self.0
    }

    /// Returns the key that signs.
    pub fn current(&self) -> Option<&SigningKey> {
        self.0.last().filter(|key| key.retires_at.is_none())
    }

    /// Reports whether tokens signed by this key are valid at this time.
    pub fn is_valid(&self, kid: Id, now: Timestamp) -> bool {
        let mut keys = self.0.iter();
        keys.any(|key| key.kid == kid && !key.is_retired(now))
    }

    /// Reports whether this is a key of this service, active or retired, that was not
    /// ended.
    pub fn contains(&self, kid: Id) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    /// Returns the keys after a rotation: a new key signs, and the previous one verifies
    /// for as long as its last token lives. With `end_previous` all other keys are
    /// removed, and every token that they signed becomes invalid.
    ///
    /// Fails with -32000 if the maximum number of keys still sign or verify: none of them
    /// may be removed before its tokens have expired.
    pub fn rotated(&self, end_previous: bool, env: &Env) -> Result<SigningKeys> {
        let now = env.now();
        let mut keys = match end_previous {
            true => Vec::new(),
            false => self.with_room_for_one(now)?,
        };
        for key in &mut keys {
            key.retires_at
                .get_or_insert(now + env.settings.access_token_ttl);
        }
        keys.push(SigningKey::new(env)?);
        Ok(SigningKeys(keys))
    }

    /// Returns the keys without the oldest retired ones that must make room for a new key.
    fn with_room_for_one(&self, now: Timestamp) -> Result<Vec<SigningKey>> {
        let mut keys = self.0.clone();
        let mut surplus = (keys.len() + 1).saturating_sub(MAX_KEYS);
        keys.retain(|key| {
            let goes = surplus > 0 && key.is_retired(now);
            surplus -= usize::from(goes);
            !goes
        });
        if surplus == 0 {
            return Ok(keys);
        }
        let frees = keys.iter().filter_map(|key| key.retires_at).min();
        Err(AuthError::new(
            ErrorKind::Application,
            "The maximum number of signing keys with live tokens is reached",
        )
        .detail("max_signing_keys", MAX_KEYS)
        .detail("next_retires_at", frees.map(Timestamp::to_rfc3339))
        .detail(
            "action",
            "rotate again after next_retires_at; after a leak at once, with end_previous",
        ))
    }
}

/// Returns the store key of the marker that the signing key of a session's token was ended
/// early.
#[expect(clippy::expect_used, reason = "an id is written as 32 digits")]
pub fn ended_key(kid: Id, session_id: Id) -> String {
    let lane = session_id.to_string().chars().next();
    ended_mark(kid, lane.expect("an id has a first digit"))
}

fn ended_mark(kid: Id, lane: char) -> String {
    ground::mark(&format!("signing-key/{kid}"), &lane.to_string())
}

impl SigningKey {
    fn new(env: &Env) -> Result<SigningKey> {
        Ok(SigningKey {
            kid: env.ports.random.id()?,
            created_at: env.now(),
            retires_at: None,
        })
    }

    /// Reports whether tokens signed by this key are no longer valid.
    fn is_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|end| now >= end)
    }
}
