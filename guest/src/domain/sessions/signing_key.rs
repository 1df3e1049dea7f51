//! The keys that sign access tokens.
//!
//! A key is derived from the host's master secret under its id (`kid`, RFC 7515
//! section 4.1.4), so that what is stored of it tells only that it is there. A
//! key that is not stored signs nothing and verifies nothing, whatever could be
//! derived for its id.

use serde::{Deserialize, Serialize};

use crate::domain::audit::{Chain, Head};
use crate::domain::context::{self, Context};
use crate::error::{AuthError, Kind, Result};
use crate::ports::Ports;
use crate::storage::batch::Batch;
use crate::storage::ground;
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::time::Timestamp;

/// The first digits of session ids. Each has a mark of its own that a key was ended: a
/// store that locks what a batch expects then makes no queue of all sessions.
const LANES: &str = "0123456789abcdef";
/// No more keys than these are kept; those that verify nothing any more go first.
const MAX_KEYS: usize = 20;

/// A signing key, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// What tokens call it.
    pub kid: Id,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Until when tokens that it signed are good; none: it signs.
    pub retires_at: Option<Timestamp>,
}

/// All signing keys, the one that signs last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SigningKeys(Vec<SigningKey>);

impl SigningKeys {
    /// Where they are stored.
    pub const KEY: &'static str = "signing-keys";

    /// The keys; the first one is made when there is none.
    pub fn load(context: &Context) -> Result<SigningKeys> {
        context::settle(context, |context| {
            let found = record::read(SigningKeys::KEY.to_owned(), &context.ports)?;
            if let Some(Stored { value, .. }) = found {
                return Ok(Some(value));
            }
            let keys = SigningKeys(vec![SigningKey::new(context)?]);
            let mut batch = Batch::new();
            batch.create(SigningKeys::KEY.to_owned(), &keys);
            Ok(context.commit(batch)?.then_some(keys))
        })
    }

    /// The keys and the head of the chain that records their changes, as one
    /// snapshot.
    pub fn read(ports: &Ports) -> Result<(Found<SigningKeys>, Found<Head>)> {
        let head = Chain::head_key(Chain::shared());
        record::read_both([SigningKeys::KEY.to_owned(), head], ports)
    }

    /// Marks all of them as ended, in the batch of a rotation that ends them: an actor
    /// with a token that one of them signed commits nothing after that.
    pub fn end_all(&self, batch: &mut Batch) {
        for key in &self.0 {
            for lane in LANES.chars() {
                batch.mark(ended_mark(key.kid, lane));
            }
        }
    }

    /// One by one, the one that signs last.
    pub fn as_slice(&self) -> &[SigningKey] {
        &self.0
    }

    /// The key that signs.
    pub fn current(&self) -> Option<&SigningKey> {
        self.0.last().filter(|key| key.retires_at.is_none())
    }

    /// Whether tokens that this key signed are good at this time.
    pub fn accept(&self, kid: Id, now: Timestamp) -> bool {
        let mut keys = self.0.iter();
        keys.any(|key| key.kid == kid && !key.is_retired(now))
    }

    /// Whether this key is or was one of ours that nobody has ended.
    pub fn know(&self, kid: Id) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    /// The keys after a rotation: a new one signs, and the one before it verifies
    /// for as long as its last token lives. With `end_previous` all others are
    /// gone, and with them every token that they signed.
    ///
    /// Fails with -32000 when as many as can be kept still sign or verify: none of
    /// them may go before its tokens have expired.
    pub fn rotated(&self, end_previous: bool, context: &Context) -> Result<SigningKeys> {
        let now = context.now();
        let mut keys = match end_previous {
            true => Vec::new(),
            false => self.with_room_for_one(now)?,
        };
        for key in &mut keys {
            key.retires_at
                .get_or_insert(now + context.settings.access_token_ttl);
        }
        keys.push(SigningKey::new(context)?);
        Ok(SigningKeys(keys))
    }

    /// The keys without those that had to go for another one, the oldest first.
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
            Kind::Application,
            "There are as many signing keys with live tokens as there can be",
        )
        .detail("max_signing_keys", MAX_KEYS)
        .detail("next_retires_at", frees.map(Timestamp::to_rfc3339))
        .detail(
            "action",
            "rotate again after next_retires_at; after a leak at once, with end_previous",
        ))
    }
}

/// Store key of the mark that the signing key of a session's token was ended before its
/// time.
pub fn ended_key(kid: Id, session_id: Id) -> String {
    let lane = session_id.to_string().chars().next();
    ended_mark(kid, lane.unwrap_or_default())
}

fn ended_mark(kid: Id, lane: char) -> String {
    ground::mark(&format!("signing-key/{kid}"), &lane.to_string())
}

impl SigningKey {
    fn new(context: &Context) -> Result<SigningKey> {
        Ok(SigningKey {
            kid: context.ports.random.id()?,
            created_at: context.now(),
            retires_at: None,
        })
    }

    /// Whether tokens that it signed are no good any more.
    fn is_retired(&self, now: Timestamp) -> bool {
        self.retires_at.is_some_and(|end| now >= end)
    }
}
