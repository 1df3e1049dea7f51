//! The part of a restore that changes the store.
//!
//! The first commit puts a mark into the store, which prevents opening it, and the last
//! removes the mark. Every commit in between expects the mark as this restore left it,
//! so that of two concurrent restores one is aborted.

use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use super::BackupError;
use super::format::is_of_the_host;
use crate::keys::records::{KEY_CHECK, Lock, READY, RESTORING, ROOT_KEY};
use crate::store::{Entry, Expect, MAX_PAGE, Mutation, Outcome, Record, Store};

pub(super) struct Restore<'a> {
    store: &'a dyn Store,
    lock: Lock,
    /// The value of the mark.
    token: Vec<u8>,
    /// The version of the mark.
    version: String,
    loaded: Tally,
}

impl<'a> Restore<'a> {
    /// Marks the store, and empties it.
    pub(super) async fn begin(
        store: &'a dyn Store,
        lock: Lock,
        replace: bool,
    ) -> Result<Self, BackupError> {
        let mark = mark(store).await?;
        if !replace {
            match mark {
                Some(_) => return Err(BackupError::Unfinished),
                None if !is_empty(store, &lock).await? => return Err(BackupError::NotEmpty),
                None => {}
            }
        }
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(std::io::Error::other)?;
        let mut restore = Self {
            store,
            lock,
            token: base16ct::lower::encode_string(&token).into_bytes(),
            version: String::new(),
            loaded: Tally::default(),
        };
        let expect = match mark {
            Some(mark) => Expect::At(mark.version),
            None => Expect::Absent,
        };
        restore.commit(Vec::new(), expect).await?;
        match replace {
            true => restore.empty().await?,
            // A process that opened the store between the first check and the mark is
            // left alone.
            false if !is_empty(store, &restore.lock).await? => {
                restore.unmark().await?;
                return Err(BackupError::NotEmpty);
            }
            false => restore.unbind().await?,
        }
        Ok(restore)
    }

    /// Writes a page of records.
    pub(super) async fn load(&mut self, records: Vec<Record>) -> Result<(), BackupError> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = since_1970.unwrap_or_default().as_millis();
        let mut batch = Vec::with_capacity(records.len() + 1);
        for record in records {
            self.loaded.add(&record);
            let left_ms = match record.expires_at_ms.map(u128::try_from) {
                None => None,
                Some(at_ms) => match at_ms.unwrap_or_default().checked_sub(now_ms) {
                    // Expired since the backup.
                    None | Some(0) => continue,
                    left_ms => left_ms,
                },
            };
            let ttl = left_ms.map(|ms| Duration::from_millis(ms.try_into().unwrap_or(u64::MAX)));
            batch.push(mutation(&record.key, Some(record.value), ttl));
        }
        self.step(batch).await
    }

    /// Compares the content of the store with what was loaded, and opens it.
    pub(super) async fn finish(self) -> Result<(), BackupError> {
        let mut held = Tally::default();
        let mut snapshot = self.store.snapshot().await?;
        loop {
            let page = snapshot.page().await?;
            if page.is_empty() {
                break;
            }
            let records = page.iter().filter(|record| record.key != RESTORING);
            records.for_each(|record| held.add(record));
        }
        if held != self.loaded {
            return Err(BackupError::Disturbed);
        }
        let batch = vec![
            mutation(KEY_CHECK, Some(self.lock.check), None),
            mutation(ROOT_KEY, self.lock.root, None),
            Mutation {
                expect: Expect::At(self.version),
                ..mutation(RESTORING, None, None)
            },
        ];
        match self.store.commit(batch).await? {
            Outcome::Committed => Ok(()),
            Outcome::Conflict(_) => Err(BackupError::Overtaken),
        }
    }

    /// Deletes the records that bind the store to its key: those of the backup replace
    /// them.
    async fn unbind(&mut self) -> Result<(), BackupError> {
        let batch = [KEY_CHECK, ROOT_KEY].map(|key| mutation(key, None, None));
        self.step(batch.into()).await
    }

    /// Removes the mark.
    async fn unmark(self) -> Result<(), BackupError> {
        let mark = Mutation {
            expect: Expect::At(self.version),
            ..mutation(RESTORING, None, None)
        };
        match self.store.commit(vec![mark]).await? {
            Outcome::Committed => Ok(()),
            Outcome::Conflict(_) => Err(BackupError::Overtaken),
        }
    }

    /// Deletes everything but the mark.
    async fn empty(&mut self) -> Result<(), BackupError> {
        loop {
            let page = self.store.scan("", None, MAX_PAGE).await?;
            let keys = page.entries.iter().map(|entry| entry.key.as_str());
            let keys = keys.filter(|key| *key != RESTORING);
            let batch: Vec<Mutation> = keys.map(|key| mutation(key, None, None)).collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.step(batch).await?;
        }
    }

    async fn step(&mut self, batch: Vec<Mutation>) -> Result<(), BackupError> {
        let expect = Expect::At(self.version.clone());
        self.commit(batch, expect).await
    }

    /// Commits on the mark, and notes its new version.
    async fn commit(
        &mut self,
        mut batch: Vec<Mutation>,
        expect: Expect,
    ) -> Result<(), BackupError> {
        batch.push(Mutation {
            expect,
            ..mutation(RESTORING, Some(self.token.clone()), None)
        });
        if self.store.commit(batch).await? != Outcome::Committed {
            return Err(BackupError::Overtaken);
        }
        match mark(self.store).await? {
            Some(mark) if mark.value == self.token => self.version = mark.version,
            _ => return Err(BackupError::Overtaken),
        }
        Ok(())
    }
}

/// Returns whether the store is empty except for the mark, the write probe, and the
/// check of the same key, which any program that opens the store writes.
async fn is_empty(store: &dyn Store, lock: &Lock) -> Result<bool, BackupError> {
    let page = store.scan("", None, 4).await?;
    let is_ours = |entry: &Entry| match entry.key.as_str() {
        KEY_CHECK => entry.value == lock.check,
        key => [RESTORING, READY].contains(&key),
    };
    Ok(page.entries.iter().all(is_ours))
}

async fn mark(store: &dyn Store) -> Result<Option<Entry>, BackupError> {
    let found = store.get(&[RESTORING.to_owned()]).await?;
    Ok(found.into_iter().flatten().next())
}

fn mutation(key: &str, put: Option<Vec<u8>>, ttl: Option<Duration>) -> Mutation {
    Mutation {
        key: key.to_owned(),
        expect: Expect::Any,
        put,
        ttl,
    }
}

/// A digest of a set of records, independent of their order. Records with an expiry
/// time are left out, since they may expire during the comparison.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    records: u64,
    sum: u128,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        if record.expires_at_ms.is_some() || is_of_the_host(&record.key) {
            return;
        }
        let mut hash = Sha256::new();
        hash.update((record.key.len() as u64).to_be_bytes());
        hash.update(&record.key);
        hash.update(&record.value);
        let hash: [u8; 32] = hash.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        self.records += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
    }
}
