//! A store that is a map in memory. It fulfils the contract because every call runs
//! under one lock, so that no partial change is visible, and because no version is ever
//! assigned twice. Other stores use transactions for the first and a column for the
//! second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use user_auth_host::store::{Entry, Expect, Mutation, Outcome, Page, Store, StoreError, checks};

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub struct MapStore {
    map: Mutex<Map>,
    clock: Clock,
}

#[derive(Default)]
struct Map {
    records: BTreeMap<String, Record>,
    /// Number of writes; the number of the last write is its version.
    writings: u64,
}

struct Record {
    value: Vec<u8>,
    version: u64,
    expires_at: Option<SystemTime>,
}

impl MapStore {
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemTime::now))
    }

    pub fn with_clock(clock: Clock) -> Self {
        Self {
            map: Mutex::default(),
            clock,
        }
    }

    /// Returns the number of records, including expired ones.
    pub fn len(&self) -> usize {
        self.locked().0.records.len()
    }

    /// Locks the records, and returns them with one time for all of them.
    fn locked(&self) -> (MutexGuard<'_, Map>, SystemTime) {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        (map, (self.clock)())
    }
}

#[async_trait]
impl Store for MapStore {
    fn kind(&self) -> &'static str {
        "map"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        checks::keys(keys)?;
        let (map, now) = self.locked();
        // Reads each record once, and stops when the response gets too large.
        checks::get(keys, |key| {
            Ok(map.live(key, now).map(|record| record.entry(key)))
        })
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        let (mut map, now) = self.locked();
        let failed = batch.iter().position(|mutation| {
            let found = map.live(&mutation.key, now);
            match &mutation.expect {
                Expect::Any => false,
                Expect::Absent => found.is_some(),
                Expect::At(version) => found.is_none_or(|it| it.version.to_string() != *version),
            }
        });
        // A lost race is not an error: the component reads again and retries.
        if let Some(index) = failed {
            return Ok(Outcome::Conflict(u32::try_from(index).unwrap_or(u32::MAX)));
        }
        for Mutation { key, put, ttl, .. } in batch {
            match put {
                Some(value) => map.write(key, value, expiry(now, ttl)),
                None => drop(map.records.remove(&key)),
            }
        }
        Ok(Outcome::Committed)
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        checks::key(key)?;
        let (mut map, now) = self.locked();
        let counter = map.live(key, now);
        let sum = checks::sum(key, counter.map(|it| it.value.as_slice()), delta)?;
        // Additions do not extend the lifetime of an existing counter.
        let expires_at = counter.map_or_else(|| expiry(now, ttl), |it| it.expires_at);
        map.write(key.to_owned(), sum.to_string().into_bytes(), expires_at);
        Ok(sum)
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let range = checks::range(prefix, after)?;
        let (map, now) = self.locked();
        let live = map.records.range(range).filter(|(_, it)| it.is_live(now));
        // Takes as many records as fit on the page.
        checks::page(live.map(|(key, it)| Ok(it.entry(key))), limit)
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        let (mut map, now) = self.locked();
        let expired = map.records.extract_if(.., |_, record| !record.is_live(now));
        let purged = expired.take(limit as usize).count();
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }
}

impl Map {
    fn live(&self, key: &str, now: SystemTime) -> Option<&Record> {
        self.records.get(key).filter(|record| record.is_live(now))
    }

    fn write(&mut self, key: String, value: Vec<u8>, expires_at: Option<SystemTime>) {
        self.writings += 1;
        let record = Record {
            value,
            version: self.writings,
            expires_at,
        };
        self.records.insert(key, record);
    }
}

impl Record {
    fn is_live(&self, now: SystemTime) -> bool {
        self.expires_at.is_none_or(|at| at > now)
    }

    fn entry(&self, key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            value: self.value.clone(),
            version: self.version.to_string(),
        }
    }
}

/// Returns the expiry time, or `None` if it is too late for the calendar.
fn expiry(now: SystemTime, ttl: Option<Duration>) -> Option<SystemTime> {
    now.checked_add(ttl?)
}
