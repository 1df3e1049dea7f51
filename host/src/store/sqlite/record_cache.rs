//! Records as of the last commit, so that reads of an unchanged database take neither a
//! lock nor a query.
//!
//! A cached record counts only while the header of the [index](super::wal_index) is the
//! one under which it was read. Every commit of any process changes that header before its
//! caller learns of the commit, so a read that begins after it never gets an older record.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::wal_index::{Header, WalIndex};
use crate::store::Entry;
use crate::store::checks::{self, TooLarge};
use crate::store::clock::{self, Millis};

/// Maximum size of all cached records. When it is exceeded, all are dropped.
const MAX_BYTES: usize = 8 << 20;
/// Size that a record counts for beyond its bytes: about its overhead in memory.
const RECORD_BYTES: usize = 160;

/// A record and the time at which it expires.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) entry: Entry,
    pub(super) expires_at_ms: Option<Millis>,
}

/// The cache of one database.
pub(super) struct RecordCache {
    /// `None` if the index cannot be read here; then nothing is cached.
    index: Option<WalIndex>,
    records: RwLock<Records>,
}

#[derive(Default)]
struct Records {
    /// The header under which all these were read.
    header: Option<Header>,
    /// The records by key; `None` for keys without a record.
    by_key: HashMap<String, Option<Stored>>,
    bytes: usize,
}

impl RecordCache {
    pub(super) fn new(index: Option<WalIndex>) -> Self {
        Self {
            index,
            records: RwLock::default(),
        }
    }

    /// Returns the current header, or `None` if there is no cache or a commit is under way.
    pub(super) fn header(&self) -> Option<Header> {
        self.index.as_ref()?.header()
    }

    /// Returns the records under these keys as of `header`, or `None` if one of them is
    /// unknown or they have more than `room` bytes.
    pub(super) fn get(
        &self,
        header: Header,
        keys: &[String],
        room: usize,
        now_ms: Millis,
    ) -> Option<Vec<Option<Entry>>> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        if records.header != Some(header) {
            return None;
        }
        let entry = |key: &str, _| -> Result<Option<Entry>, Unknown> {
            let stored = records.by_key.get(key).ok_or(Unknown)?;
            let live = stored
                .as_ref()
                .filter(|stored| clock::is_live(stored.expires_at_ms, now_ms));
            Ok(live.map(|stored| stored.entry.clone()))
        };
        checks::get_within(room, keys, entry).ok()
    }

    /// Adds records that were read while the header was `header` all the time.
    pub(super) fn put(&self, header: Header, read: Vec<(String, Option<Stored>)>) {
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        if records.header != Some(header) {
            *records = Records {
                header: Some(header),
                ..Records::default()
            };
        }
        for (key, stored) in read {
            let bytes = stored.as_ref().map_or(0, |stored| stored.entry.bytes());
            let bytes = key.len() + bytes + RECORD_BYTES;
            if records.by_key.insert(key, stored).is_none() {
                records.bytes += bytes;
            }
        }
        if records.bytes > MAX_BYTES {
            *records = Records::default();
        }
    }
}

/// The cache does not have all records.
struct Unknown;

impl From<TooLarge> for Unknown {
    fn from(_: TooLarge) -> Self {
        Self
    }
}
