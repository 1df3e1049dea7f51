//! The keys that sign access tokens.
//!
//! The host derives a key from its master secret under its id (`kid`, RFC 7515 section
//! 4.1.4), so the stored record only shows that the key exists. A key that is not stored
//! neither signs nor verifies anything, although the host could derive it from its id.
//!
//! Tokens for this service itself are signed with a key that only the host has. Tokens for
//! other services are signed with a key whose public half they know, so that they can
//! verify a token themselves. They learn a key before it signs anything, and keep what they
//! learned for an hour.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::audit::{Chain, Head};
use crate::domain::call::{self, Call};
use crate::domain::env::Env;
use crate::error::{AuthError, ErrorKind, Result};
use crate::ports::{Algorithm, KeyName, Ports, PublicKey, Unavailable};
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
/// How long other services may keep the public keys that they have fetched.
pub const PUBLIC_KEYS_MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// How far the clocks of other services may be behind, which accept a token longer then.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A signing key, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The id of the key. It is the key id in tokens for this service itself.
    pub kid: Id,
    /// When the key was created.
    pub created_at: Timestamp,
    /// When the last token that it signed expires; `None` while it is the key that signs.
    pub retires_at: Option<Timestamp>,
    /// What others know of the key; `None` for keys of this service itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// What others know of a signing key, as stored. The public half itself comes from the
/// host: a process that can write to the store must not be able to publish a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The algorithm of its signatures.
    pub algorithm: Algorithm,
    /// The key id in tokens: the thumbprint of the key (RFC 7638).
    pub thumbprint: String,
    /// When the key begins to sign.
    pub signs_from: Timestamp,
}

/// All signing keys, oldest first.
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

    /// Loads the keys, and creates one that signs for other services with the algorithm of
    /// the settings if there is none.
    pub fn load_published(call: &Call) -> Result<SigningKeys> {
        let algorithm = call.settings.signing_algorithm;
        call::retry_on_conflict(call, |call| {
            let found = record::read(SigningKeys::KEY.to_owned(), &call.ports)?;
            let Some(Stored { value, version }): Found<SigningKeys> = found else {
                SigningKeys::load(call)?;
                return Ok(Race::Lost);
            };
            if unreplaced(&value.0, algorithm).is_some() {
                return Ok(Race::Won(value));
            }
            // Other services know the keys of a previous algorithm, but not this one yet.
            let now = call.now();
            let wait = match value.known_to_others(now).is_empty() {
                true => Duration::ZERO,
                false => PUBLIC_KEYS_MAX_AGE,
            };
            let mut keys = value.with_room_for_one(is_published, now)?;
            keys.push(SigningKey::published(algorithm, now + wait, call)?);
            let keys = SigningKeys(keys);
            let mut batch = Batch::new();
            batch.replace(SigningKeys::KEY.to_owned(), &version, &keys);
            Ok(call.commit(batch)?.then(keys))
        })
    }

    /// Returns the keys as a slice, oldest first.
    pub fn as_slice(&self) -> &[SigningKey] {
        &self.0
    }

    /// Returns the key that signs tokens for this service itself.
    pub fn current(&self) -> Option<&SigningKey> {
        let own = self.0.iter().rfind(|key| key.published.is_none());
        own.filter(|key| key.retires_at.is_none())
    }

    /// Returns the key that signs tokens for other services at this time: the newest that
    /// signs already, if possible with this algorithm. If the clock was set back to before the
    /// first of them, that one signs.
    pub fn current_published(
        &self,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Option<(&SigningKey, &Published)> {
        let newest = |wanted: Option<Algorithm>| {
            let keys = self.0.iter().rev();
            let signing = keys.filter(move |key| !key.is_retired(now));
            let mut published = signing.filter_map(|key| Some((key, key.published.as_ref()?)));
            published.find(|(_, published)| {
                published.signs_from <= now
                    && wanted.is_none_or(|wanted| published.algorithm == wanted)
            })
        };
        newest(Some(algorithm))
            .or_else(|| newest(None))
            .or_else(|| self.known_to_others(now).into_iter().next())
    }

    /// Returns the key with this thumbprint, valid or not.
    pub fn published(&self, thumbprint: &str) -> Option<(&SigningKey, &Published)> {
        let keys = self.0.iter();
        let mut published = keys.filter_map(|key| Some((key, key.published.as_ref()?)));
        published.find(|(_, published)| published.thumbprint == thumbprint)
    }

    /// Returns the keys that others need at this time, with what they know of each: those
    /// that will sign, that sign, and that have signed tokens which are still valid.
    pub fn known_to_others(&self, now: Timestamp) -> Vec<(&SigningKey, &Published)> {
        let keys = self.0.iter().filter(|key| !key.is_retired(now));
        keys.filter_map(|key| Some((key, key.published.as_ref()?)))
            .collect()
    }

    /// Reports whether tokens for this service itself that this key has signed are valid at
    /// this time.
    pub fn is_valid(&self, kid: Id, now: Timestamp) -> bool {
        let mut keys = self.0.iter();
        keys.any(|key| key.published.is_none() && key.kid == kid && !key.is_retired(now))
    }

    /// Reports the same for tokens for other services. A key that does not sign yet has
    /// signed none, unless it is the first.
    pub fn is_valid_for_others(&self, kid: Id, now: Timestamp) -> bool {
        let mut known = self.known_to_others(now).into_iter().enumerate();
        known.any(|(at, (key, published))| {
            key.kid == kid && (at == 0 || published.signs_from <= now)
        })
    }

    /// Reports whether this is a key for tokens for this service itself, active or retired,
    /// that was not ended.
    pub fn contains(&self, kid: Id) -> bool {
        let mut own = self.0.iter().filter(|key| key.published.is_none());
        own.any(|key| key.kid == kid)
    }

    /// Returns the keys after a rotation: new keys sign, one for this service itself from
    /// now on and one for others as soon as all of them know it, and the previous ones
    /// verify for as long as their last token lives. A key that others are waiting for is
    /// not replaced. With `end_previous` all other keys are removed, every token that they
    /// signed becomes invalid, and the new keys sign at once.
    ///
    /// Fails with -32000 if the maximum number of keys still sign or verify: none of them
    /// may be removed before its tokens have expired.
    pub fn rotated(&self, end_previous: bool, env: &Env) -> Result<SigningKeys> {
        let now = env.now();
        let algorithm = env.settings.signing_algorithm;
        if end_previous {
            return Ok(SigningKeys(vec![
                SigningKey::new(env)?,
                SigningKey::published(algorithm, now, env)?,
            ]));
        }
        let mut keys = self.with_room_for_one(|key| !is_published(key), now)?;
        for key in keys.iter_mut().filter(|key| !is_published(key)) {
            key.retires_at
                .get_or_insert(now + env.settings.access_token_ttl);
        }
        keys.push(SigningKey::new(env)?);
        let waits = |(_, published): (_, &Published)| now < published.signs_from;
        if unreplaced(&keys, algorithm).is_some_and(waits) {
            return Ok(SigningKeys(keys));
        }
        let signs_from = now + PUBLIC_KEYS_MAX_AGE;
        let mut keys = SigningKeys(keys).with_room_for_one(is_published, now)?;
        for key in keys.iter_mut().filter(|key| is_published(key)) {
            let last_token_ends = signs_from + env.settings.access_token_ttl;
            key.retires_at.get_or_insert(last_token_ends + CLOCK_SKEW);
        }
        keys.push(SigningKey::published(algorithm, signs_from, env)?);
        Ok(SigningKeys(keys))
    }

    /// Returns the keys without the oldest retired ones of a kind that must make room for a
    /// new key.
    fn with_room_for_one(
        &self,
        is_of_kind: impl Fn(&SigningKey) -> bool,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>> {
        let mut keys = self.0.clone();
        let count = keys.iter().filter(|key| is_of_kind(key)).count();
        let mut surplus = (count + 1).saturating_sub(MAX_KEYS);
        keys.retain(|key| {
            let goes = surplus > 0 && is_of_kind(key) && key.is_retired(now);
            surplus -= usize::from(goes);
            !goes
        });
        if surplus == 0 {
            return Ok(keys);
        }
        let of_kind = keys.iter().filter(|key| is_of_kind(key));
        let frees = of_kind.filter_map(|key| key.retires_at).min();
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

/// Returns the key with this algorithm that no other replaces yet.
fn unreplaced(keys: &[SigningKey], algorithm: Algorithm) -> Option<(&SigningKey, &Published)> {
    let staying = keys.iter().filter(|key| key.retires_at.is_none());
    let mut published = staying.filter_map(|key| Some((key, key.published.as_ref()?)));
    published.find(|(_, published)| published.algorithm == algorithm)
}

fn is_published(key: &SigningKey) -> bool {
    key.published.is_some()
}

/// Returns the name by which the host finds the key.
fn name(kid: Id, algorithm: Algorithm) -> KeyName {
    KeyName {
        algorithm,
        label: format!("access-token/{kid}"),
    }
}

impl SigningKey {
    fn new(env: &Env) -> Result<SigningKey> {
        Ok(SigningKey {
            kid: env.ports.random.id()?,
            created_at: env.now(),
            retires_at: None,
            published: None,
        })
    }

    fn published(algorithm: Algorithm, signs_from: Timestamp, env: &Env) -> Result<SigningKey> {
        let key = SigningKey::new(env)?;
        let mut public = env.ports.signing.public_keys(&[name(key.kid, algorithm)])?;
        let Some(PublicKey { kid, .. }) = public.pop() else {
            return Err(Unavailable::for_good("a signing key has no public half").into());
        };
        let published = Published {
            algorithm,
            thumbprint: kid,
            signs_from,
        };
        Ok(SigningKey {
            published: Some(published),
            ..key
        })
    }

    /// Returns the name by which the host finds a key that others know.
    pub fn name(&self, published: &Published) -> KeyName {
        name(self.kid, published.algorithm)
    }

    /// Reports whether tokens signed by this key are no longer valid.
    fn is_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|end| now >= end)
    }
}
