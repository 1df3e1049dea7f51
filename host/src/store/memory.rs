//! Records in memory: for tests, and gone with the process.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::clock::{self, Clock, Millis};
use super::{Entry, Expect, Mutation, Outcome, Page, Snapshot, Store, StoreError, checks};

/// A store that keeps its records in memory.
pub struct MemoryStore {
    // std's mutex and not tokio's: no holder awaits anything.
    records: Mutex<Records>,
    clock: Clock,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_clock(clock::system())
    }

    /// An empty store that asks `clock` for the time.
    #[doc(hidden)]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            records: Mutex::default(),
            clock,
        }
    }

    /// The records as they stand now; they stand still while the view is held.
    fn view(&self) -> View<'_> {
        // No code under the lock panics halfway through a change, so what a
        // poisoned lock guards is whole.
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is read under the lock: of two views, the later never sees
        // an earlier time.
        let now_ms = clock::now_ms(&self.clock);
        View { records, now_ms }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        keys.iter().try_for_each(|key| checks::key(key))?;
        let view = self.view();
        let entry = |key: &String| view.live(key).map(|record| record.entry(key));
        Ok(keys.iter().map(entry).collect())
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        let mut view = self.view();
        // A key stands in a batch once, so no mutation changes what another
        // expects: all are judged before the first is applied.
        for (index, mutation) in (0..).zip(&batch) {
            let holds = match (&mutation.expect, view.live(&mutation.key)) {
                (Expect::Any, _) | (Expect::Absent, None) => true,
                (Expect::At(version), Some(record)) => record.version.to_string() == *version,
                _ => false,
            };
            if !holds {
                return Ok(Outcome::Conflict(index));
            }
        }
        for Mutation { key, put, ttl, .. } in batch {
            match put {
                Some(value) => {
                    let expires_at_ms = clock::expires_at_ms(view.now_ms, ttl);
                    view.put(key, value, expires_at_ms);
                }
                None => {
                    view.records.by_key.remove(&key);
                }
            }
        }
        Ok(Outcome::Committed)
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        checks::key(key)?;
        let mut view = self.view();
        let counter = view.live(key);
        let sum = checks::sum(key, counter.map(|record| record.value.as_slice()), delta)?;
        let expires_at_ms = match counter {
            Some(record) => record.expires_at_ms,
            None => clock::expires_at_ms(view.now_ms, ttl),
        };
        view.put(key.to_owned(), sum.to_string().into(), expires_at_ms);
        Ok(sum)
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let range = checks::range(prefix, after)?;
        let len = checks::page_len(limit);
        let view = self.view();
        // One more than the page holds, to know whether another follows.
        let entries = view
            .records
            .by_key
            .range(range)
            .filter(|(_, record)| clock::is_live(record.expires_at_ms, view.now_ms))
            .map(|(key, record)| record.entry(key))
            .take(len as usize + 1)
            .collect();
        Ok(checks::page(entries, len))
    }

    /// Looks at every record: a store for tests needs no index of expiries.
    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        let mut view = self.view();
        let now_ms = view.now_ms;
        let mut purged = 0;
        view.records.by_key.retain(|_, record| {
            let keep = purged == limit || clock::is_live(record.expires_at_ms, now_ms);
            purged += u32::from(!keep);
            keep
        });
        Ok(purged)
    }

    /// Copies every record: a store for tests is small.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let view = self.view();
        let live = view
            .records
            .by_key
            .iter()
            .filter(|(_, record)| clock::is_live(record.expires_at_ms, view.now_ms));
        let records: Vec<super::Record> = live
            .map(|(key, record)| super::Record {
                key: key.clone(),
                value: record.value.clone(),
                expires_at_ms: record.expires_at_ms,
            })
            .collect();
        Ok(Box::new(Copied(records.into_iter())))
    }
}

/// The records as they were.
struct Copied(std::vec::IntoIter<super::Record>);

#[async_trait]
impl Snapshot for Copied {
    async fn page(&mut self) -> Result<Vec<super::Record>, StoreError> {
        let records = self.0.by_ref().map(Ok::<_, Infallible>);
        let Ok(page) = checks::snapshot_page(records);
        Ok(page)
    }
}

#[derive(Default)]
struct Records {
    by_key: BTreeMap<String, Record>,
    /// Only ever grows, so that no version comes twice.
    last_version: u64,
}

struct Record {
    value: Vec<u8>,
    version: u64,
    expires_at_ms: Option<Millis>,
}

impl Record {
    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            value: self.value.clone(),
            version: self.version.to_string(),
        }
    }
}

/// The records, locked, at one point in time.
struct View<'a> {
    records: MutexGuard<'a, Records>,
    now_ms: Millis,
}

impl View<'_> {
    fn live(&self, key: &str) -> Option<&Record> {
        let record = self.records.by_key.get(key)?;
        clock::is_live(record.expires_at_ms, self.now_ms).then_some(record)
    }

    fn put(&mut self, key: String, value: Vec<u8>, expires_at_ms: Option<Millis>) {
        self.records.last_version += 1;
        let record = Record {
            value,
            version: self.records.last_version,
            expires_at_ms,
        };
        self.records.by_key.insert(key, record);
    }
}
