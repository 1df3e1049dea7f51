//! Records in a bucket of `wasi:keyvalue`, which has no conditional writes.
//!
//! The guarantees of `wit/store.wit` therefore hold for a single writer only: a read
//! before the write decides races, and a batch is written record by record. Writes are
//! refused unless the operator declares in the settings that there is a single writer.

use crate::ports::{Entry, Expect, Mutation, Outcome, Page, Random, Unavailable};
use crate::types::time::Timestamp;

/// The setting, `true` or `false`, which declares that only one instance at a time
/// writes to the bucket.
pub const SINGLE_WRITER: &str = "USER_AUTH_SINGLE_WRITER";

/// The size of the header of a record: its version, and its expiry time.
const HEADER_BYTES: usize = 16;
/// The expiry time of a record that does not expire.
const NEVER: u64 = u64::MAX;

/// A bucket with the functions of `wasi:keyvalue`.
pub trait Bucket {
    /// Returns the value of a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Unavailable>;
    /// Sets the value of a key.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Unavailable>;
    /// Deletes a key, if it exists.
    fn delete(&self, key: &str) -> Result<(), Unavailable>;
    /// Returns all keys, in any order.
    fn keys(&self) -> Result<Vec<String>, Unavailable>;
}

/// Records in a bucket.
pub struct KeyvalueStore<'a, B> {
    /// The bucket that holds the records.
    pub bucket: B,
    /// Whether this is the only writer of the bucket.
    pub is_single_writer: bool,
    /// The current time.
    pub now: Timestamp,
    /// The source of versions.
    pub random: &'a dyn Random,
}

struct Record {
    version: u64,
    expires_at_ms: u64,
    value: Vec<u8>,
}

impl<B: Bucket> KeyvalueStore<'_, B> {
    /// Reads the records under `keys`, in that order.
    pub fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        keys.iter()
            .map(|key| Ok(self.live(key)?.map(|record| record.entry(key))))
            .collect()
    }

    /// Checks all expectations, and then writes one record after the other.
    pub fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        self.require_single_writer()?;
        for (index, mutation) in (0..).zip(batch) {
            let is_met = match &mutation.expect {
                Expect::Any => true,
                Expect::Absent => self.live(&mutation.key)?.is_none(),
                Expect::At(version) => self
                    .live(&mutation.key)?
                    .is_some_and(|record| record.version.to_string() == *version),
            };
            if !is_met {
                return Ok(Outcome::Conflict(index));
            }
        }
        for mutation in batch {
            match &mutation.put {
                None => self.bucket.delete(&mutation.key)?,
                Some(value) => self.put(&mutation.key, value, self.end(mutation.ttl_ms))?,
            }
        }
        Ok(Outcome::Committed)
    }

    /// Adds to a counter and returns its new value.
    pub fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.require_single_writer()?;
        let (old, expires_at_ms) = match self.live(key)? {
            None => (0, self.end(ttl_ms)),
            Some(record) => (parse(&record.value)?, record.expires_at_ms),
        };
        let new = old.checked_add(delta).ok_or_else(|| damaged(key))?;
        self.put(key, new.to_string().as_bytes(), expires_at_ms)?;
        Ok(new)
    }

    /// Reads up to `limit` records under `prefix`, after the key `after`. The bucket is
    /// unordered, so every scan lists all its keys.
    pub fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        let mut keys = self.bucket.keys()?;
        keys.retain(|key| {
            key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        keys.sort_unstable();
        let mut entries = Vec::new();
        for key in keys {
            let Some(record) = self.live(&key)? else {
                continue;
            };
            if entries.len() == limit as usize {
                let last: Option<&Entry> = entries.last();
                return Ok(Page {
                    next: last.map(|last| last.key.clone()),
                    entries,
                });
            }
            entries.push(record.entry(&key));
        }
        Ok(Page {
            entries,
            next: None,
        })
    }

    fn require_single_writer(&self) -> Result<(), Unavailable> {
        match self.is_single_writer {
            true => Ok(()),
            false => Err(Unavailable::for_good(
                "wasi:keyvalue cannot settle races: writes are refused until \
                 USER_AUTH_SINGLE_WRITER=true declares that there is only one writer",
            )),
        }
    }

    fn live(&self, key: &str) -> Result<Option<Record>, Unavailable> {
        let Some(bytes) = self.bucket.get(key)? else {
            return Ok(None);
        };
        let record = Record::parse(&bytes).ok_or_else(|| damaged(key))?;
        if self.now.ms() < record.expires_at_ms {
            return Ok(Some(record));
        }
        // Nothing else would free the space.
        if self.is_single_writer {
            self.bucket.delete(key)?;
        }
        Ok(None)
    }

    fn put(&self, key: &str, value: &[u8], expires_at_ms: u64) -> Result<(), Unavailable> {
        let mut version = [0; 8];
        self.random.fill(&mut version)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + value.len());
        bytes.extend_from_slice(&version);
        bytes.extend_from_slice(&expires_at_ms.to_le_bytes());
        bytes.extend_from_slice(value);
        self.bucket.set(key, &bytes)
    }

    fn end(&self, ttl_ms: Option<u64>) -> u64 {
        ttl_ms.map_or(NEVER, |ttl| self.now.ms().saturating_add(ttl))
    }
}

impl Record {
    fn parse(bytes: &[u8]) -> Option<Record> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (expires_at_ms, value) = rest.split_first_chunk()?;
        Some(Record {
            version: u64::from_le_bytes(*version),
            expires_at_ms: u64::from_le_bytes(*expires_at_ms),
            value: value.to_vec(),
        })
    }

    fn entry(self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            version: self.version.to_string(),
            value: self.value,
        }
    }
}

fn parse(value: &[u8]) -> Result<i64, Unavailable> {
    let text = str::from_utf8(value).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| damaged("a counter"))
}

fn damaged(what: &str) -> Unavailable {
    Unavailable {
        reason: format!("{what} in the bucket is damaged"),
        retry_after_ms: Some(1000),
    }
}
