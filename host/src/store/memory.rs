//! Records in memory: for tests, and lost when the process ends. The size is limited,
//! since nothing else bounds what a component writes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::clock::{self, Clock, Millis};
use super::{Entry, Expect, Mutation, Outcome, Page, Snapshot, Store, StoreError, checks};

/// Maximum size of all records in bytes, including expired ones.
const CAPACITY: usize = 1 << 30;
/// Approximate size of a record beyond its key and its value.
const RECORD_BYTES: usize = 128;

/// A store that keeps its records in memory, up to 1 GiB. Once full, it returns
/// [`StoreError::Unavailable`] for calls that would make it grow.
pub struct MemoryStore {
    // std's mutex and not tokio's: no holder awaits.
    records: Mutex<Records>,
    clock: Clock,
    capacity: usize,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::with_clock(clock::system())
    }

    /// Returns an empty store that takes the time from `clock`.
    #[doc(hidden)]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            records: Mutex::default(),
            clock,
            capacity: CAPACITY,
        }
    }

    /// Locks the records; they do not change while the view is held.
    fn view(&self) -> View<'_> {
        // No code under the lock panics halfway through a change, so the data behind a
        // poisoned lock is consistent.
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // The time is read under the lock: of two views, the later never sees an
        // earlier time.
        let now_ms = clock::now_ms(&self.clock);
        View { records, now_ms }
    }

    /// Fails if adding `grown` bytes and removing `freed` would exceed the capacity.
    fn make_room(&self, view: &View<'_>, grown: usize, freed: usize) -> Result<(), StoreError> {
        let bytes = (view.records.bytes + grown).saturating_sub(freed);
        if grown <= freed || bytes <= self.capacity {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "the in-memory store is full: it holds at most {} bytes",
            self.capacity
        )))
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
        checks::keys(keys)?;
        let view = self.view();
        checks::get(keys, |key| {
            Ok(view.live(key).map(|record| record.entry(key)))
        })
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        let mut view = self.view();
        // A batch contains each key once, so no mutation affects another's
        // precondition: all are checked before the first is applied.
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
        let puts = batch.iter().filter_map(|mutation| {
            let value = mutation.put.as_ref()?;
            Some(record_bytes(&mutation.key, value))
        });
        let replaced = batch
            .iter()
            .map(|mutation| view.records.held(&mutation.key));
        self.make_room(&view, puts.sum(), replaced.sum())?;
        for Mutation { key, put, ttl, .. } in batch {
            match put {
                Some(value) => {
                    let expires_at_ms = clock::expires_at_ms(view.now_ms, ttl);
                    view.put(key, value, expires_at_ms);
                }
                None => view.records.remove(&key),
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
        let value: Vec<u8> = sum.to_string().into();
        let held = view.records.held(key);
        self.make_room(&view, record_bytes(key, &value), held)?;
        view.put(key.to_owned(), value, expires_at_ms);
        Ok(sum)
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let range = checks::range(prefix, after)?;
        let view = self.view();
        let entries = view
            .records
            .by_key
            .range(range)
            .filter(|(_, record)| clock::is_live(record.expires_at_ms, view.now_ms))
            .map(|(key, record)| Ok(record.entry(key)));
        checks::page(entries, limit)
    }

    /// Looks at every record: a store for tests needs no index of expiry times.
    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        let mut view = self.view();
        let now_ms = view.now_ms;
        let mut purged = 0;
        let mut freed = 0;
        view.records.by_key.retain(|key, record| {
            let keep = purged == limit || clock::is_live(record.expires_at_ms, now_ms);
            if !keep {
                purged += 1;
                freed += record_bytes(key, &record.value);
            }
            keep
        });
        view.records.bytes -= freed;
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

/// A copy of the records.
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
    /// Only ever grows, so that no version occurs twice.
    last_version: u64,
    /// Total size of the records.
    bytes: usize,
}

impl Records {
    /// Returns the size of the record under this key, live or expired.
    fn held(&self, key: &str) -> usize {
        let record = self.by_key.get(key);
        record.map_or(0, |record| record_bytes(key, &record.value))
    }

    fn remove(&mut self, key: &str) {
        self.bytes -= self.held(key);
        self.by_key.remove(key);
    }
}

fn record_bytes(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + RECORD_BYTES
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

/// The locked records at one point in time.
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
        self.records.bytes += record_bytes(&key, &value);
        self.records.bytes -= self.records.held(&key);
        self.records.last_version += 1;
        let record = Record {
            value,
            version: self.records.last_version,
            expires_at_ms,
        };
        self.records.by_key.insert(key, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, bytes: usize) -> Mutation {
        Mutation {
            key: key.into(),
            expect: Expect::Any,
            put: Some(vec![0; bytes]),
            ttl: None,
        }
    }

    #[tokio::test]
    async fn a_full_store_accepts_only_writes_that_do_not_grow_it() {
        let store = MemoryStore {
            capacity: 3 * (RECORD_BYTES + 101),
            ..MemoryStore::new()
        };
        let filling = ["a", "b", "c"].map(|key| put(key, 100));
        store.commit(filling.into()).await.unwrap();
        for refused in [put("d", 0), put("c", 101)] {
            let refused = store.commit(vec![refused]).await.unwrap_err();
            assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
        }
        let added = store.add("n", 1, None).await.unwrap_err();
        assert!(matches!(added, StoreError::Unavailable(_)), "{added}");
        let smaller = [put("a", 90), put("b", 110)];
        store.commit(smaller.into()).await.unwrap();
        let delete = Mutation {
            put: None,
            ..put("a", 0)
        };
        store.commit(vec![delete, put("d", 90)]).await.unwrap();
        assert_eq!(store.view().records.bytes, 3 * (RECORD_BYTES + 101));
    }

    #[tokio::test]
    async fn expired_records_count_until_they_are_purged() {
        let store = MemoryStore::new();
        let gone = Mutation {
            ttl: Some(Duration::ZERO),
            ..put("gone", 10)
        };
        store.commit(vec![gone]).await.unwrap();
        assert_eq!(store.view().records.bytes, RECORD_BYTES + 14);
        assert_eq!(store.purge(1).await.unwrap(), 1);
        assert_eq!(store.view().records.bytes, 0);
    }
}
