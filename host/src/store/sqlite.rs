//! Records in an SQLite file: durable, with nothing to install.
//!
//! - Every change goes to one [`writer`] thread, which commits all waiting changes at
//!   once: one fsync for many callers.
//! - Reads see the last commit and never block (WAL). Small ones run on the calling
//!   thread, all others on [threads](reading) that may block.
//! - Several processes may share the file.
//! - Records that were read are kept [in memory](record_cache) until the next commit.

mod reading;
mod record_cache;
mod schema;
mod snapshot;
mod wal_index;
mod writer;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use self::reading::Readers;
use self::schema::Database;
use self::snapshot::Reading;
use self::writer::{Durability, Writer, weight};
use super::clock::{self, Clock};
use super::{Entry, Mutation, Outcome, Page, Store, StoreError, checks};

/// A store that keeps its records in an SQLite file.
///
/// Dropping it finishes the pending writes, and folds the write-ahead log into the file
/// unless another process has the file open.
pub struct SqliteStore {
    // Fields are dropped in this order: the writer closes the last connection, and that
    // folds the log into the file.
    readers: Readers,
    writer: Writer,
    clock: Clock,
}

impl SqliteStore {
    /// Opens the database at `path`, or creates it, accessible to its owner only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with_clock(path, clock::system())
    }

    /// Opens the store like [`SqliteStore::open`], with `clock` as the source of the
    /// time.
    #[doc(hidden)]
    pub fn with_clock(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let (database, connection) = Database::open(path)?;
        Ok(Self {
            readers: Readers::new(database, clock.clone()),
            writer: Writer::start(connection, clock.clone())?,
            clock,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        checks::keys(keys)?;
        self.readers.get(keys).await
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        self.writer
            .submit(Durability::Machine, weight(&batch), move |group| {
                group.commit(&batch).map(Ok)
            })
            .await
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        checks::key(key)?;
        let key = key.to_owned();
        // A short-lived counter need not survive a power failure, and most of the time
        // of a write is the fsync.
        self.writer
            .submit(Durability::Process, 0, move |group| {
                group.add(&key, delta, ttl)
            })
            .await
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let range = checks::range(prefix, after)?;
        self.readers.scan(range, limit).await
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        self.writer
            .submit(Durability::Process, 0, move |group| {
                group.purge(limit).map(Ok)
            })
            .await
    }

    async fn snapshot(&self) -> Result<Box<dyn super::Snapshot>, StoreError> {
        let reading = Reading::begin(self.readers.open()?, &self.clock)?;
        Ok(Box::new(reading))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
