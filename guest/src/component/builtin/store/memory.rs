//! Records in the memory of the instance. They are lost when it ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ports::{Entry, Expect, Mutation, Outcome, Page, Unavailable};
use crate::types::time::Timestamp;

/// A store with the contract of `wit/store.wit` that takes the time as an argument. An
/// instance runs one call at a time, so nothing can change between a read and the write
/// that depends on it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    records: RefCell<BTreeMap<String, Record>>,
    versions: Cell<u64>,
}

#[derive(Clone)]
struct Record {
    value: Vec<u8>,
    version: u64,
    expires_at_ms: Option<u64>,
}

impl MemoryStore {
    /// Reads the records under `keys`, in that order.
    pub fn get(&self, keys: &[String], now: Timestamp) -> Vec<Option<Entry>> {
        keys.iter().map(|key| self.live(key, now)).collect()
    }

    /// Applies all mutations or none.
    pub fn commit(&self, batch: &[Mutation], now: Timestamp) -> Outcome {
        for (index, mutation) in (0..).zip(batch) {
            let live = self.live(&mutation.key, now);
            let is_met = match &mutation.expect {
                Expect::Any => true,
                Expect::Absent => live.is_none(),
                Expect::At(version) => live.is_some_and(|entry| entry.version == *version),
            };
            if !is_met {
                return Outcome::Conflict(index);
            }
        }
        for Mutation {
            key, put, ttl_ms, ..
        } in batch
        {
            self.write(key, put.clone(), ttl_ms.map(|ttl| now.ms() + ttl));
        }
        self.forget_expired(now);
        Outcome::Committed
    }

    /// Adds to a counter and returns its new value.
    pub fn add(
        &self,
        key: &str,
        delta: i64,
        ttl_ms: Option<u64>,
        now: Timestamp,
    ) -> Result<i64, Unavailable> {
        let (old, expires_at_ms) = match self.live(key, now) {
            None => (0, ttl_ms.map(|ttl| now.ms() + ttl)),
            Some(entry) => {
                let records = self.records.borrow();
                let expires_at_ms = records.get(key).and_then(|record| record.expires_at_ms);
                (parse(&entry.value)?, expires_at_ms)
            }
        };
        let new = old.checked_add(delta).ok_or_else(no_counter)?;
        self.write(key, Some(new.to_string().into_bytes()), expires_at_ms);
        Ok(new)
    }

    /// Reads up to `limit` records under `prefix`, after the key `after`.
    pub fn scan(&self, prefix: &str, after: Option<&str>, limit: u32, now: Timestamp) -> Page {
        let records = self.records.borrow();
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut entries: Vec<Entry> = records
            .range::<str, _>((begin, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, record)| record.is_live(now))
            .map(|(key, record)| record.entry(key))
            // Reads one more than requested, to know whether there are more.
            .take(limit as usize + 1)
            .collect();
        let has_more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let next = entries.last().filter(|_| has_more);
        Page {
            next: next.map(|entry| entry.key.clone()),
            entries,
        }
    }

    /// Writes a record unconditionally, or deletes it if `value` is `None`.
    pub fn write(&self, key: &str, value: Option<Vec<u8>>, expires_at_ms: Option<u64>) {
        let mut records = self.records.borrow_mut();
        let Some(value) = value else {
            records.remove(key);
            return;
        };
        self.versions.set(self.versions.get() + 1);
        let record = Record {
            value,
            version: self.versions.get(),
            expires_at_ms,
        };
        records.insert(key.to_owned(), record);
    }

    fn live(&self, key: &str, now: Timestamp) -> Option<Entry> {
        let records = self.records.borrow();
        let record = records.get(key).filter(|record| record.is_live(now))?;
        Some(record.entry(key))
    }

    /// Deletes expired records at intervals: on each commit would be too often, and
    /// never would fill the memory.
    fn forget_expired(&self, now: Timestamp) {
        if self.versions.get().is_multiple_of(64) {
            let mut records = self.records.borrow_mut();
            records.retain(|_, record| record.is_live(now));
        }
    }
}

impl Record {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at_ms.is_none_or(|end| now.ms() < end)
    }

    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            value: self.value.clone(),
            version: self.version.to_string(),
        }
    }
}

fn parse(value: &[u8]) -> Result<i64, Unavailable> {
    let text = str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(no_counter)
}

fn no_counter() -> Unavailable {
    Unavailable {
        reason: "a record that is not a counter cannot be added to".to_owned(),
        retry_after_ms: Some(1000),
    }
}
