//! Records in an SQLite file: nothing to install, and durable.
//!
//! - Every change goes to one [`writer`] thread, which commits all that is
//!   waiting at once: one fsync for many callers.
//! - Reads see the last commit and wait for nobody (WAL).
//! - Several processes may share the file.

mod schema;
mod snapshot;
mod writer;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use self::schema::Database;
use self::snapshot::Reading;
use self::writer::{Durability, Writer};
use super::clock::{self, Clock, Millis};
use super::{Entry, Mutation, Outcome, Page, Store, StoreError, checks};

/// How many connections the store keeps open for the next read.
const IDLE_READERS: usize = 16;

/// A store that keeps its records in an SQLite file.
///
/// Dropping it finishes the writes that were handed to it, and folds the
/// write-ahead log into the file unless another process has the file open.
pub struct SqliteStore {
    database: Database,
    // Fields are dropped in this order: the writer closes the last connection,
    // and it is the last connection that folds the log into the file.
    readers: Mutex<Vec<Connection>>,
    writer: Writer,
    clock: Clock,
}

impl SqliteStore {
    /// Opens the database at `path`, or creates it, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with_clock(path, clock::system())
    }

    /// Like [`SqliteStore::open`], with `clock` to ask for the time.
    #[doc(hidden)]
    pub fn with_clock(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let (database, connection) = Database::open(path)?;
        Ok(Self {
            database,
            readers: Mutex::default(),
            writer: Writer::start(connection, clock.clone())?,
            clock,
        })
    }

    /// Runs `query` on one snapshot of the database.
    ///
    /// It runs on the thread of the caller, although that may be one of an
    /// async runtime: a read comes from memory and takes some 10 µs, which is
    /// less than it takes to hand it to another thread and back.
    fn read<T>(
        &self,
        query: impl FnOnce(&Snapshot<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.readers().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.database.reader()?,
        };
        let snapshot = Snapshot {
            transaction: connection.transaction()?,
            now_ms: clock::now_ms(&self.clock),
        };
        let result = query(&snapshot)?;
        drop(snapshot);
        // A connection that failed does not get here: the next read opens another.
        let mut readers = self.readers();
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        Ok(result)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing but a push or a pop happens under the lock, so what a
        // poisoned lock guards is whole.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        keys.iter().try_for_each(|key| checks::key(key))?;
        self.read(|snapshot| keys.iter().map(|key| snapshot.entry(key)).collect())
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        self.writer
            .submit(Durability::Machine, move |group| {
                group.commit(&batch).map(Ok)
            })
            .await
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        checks::key(key)?;
        let key = key.to_owned();
        // A counter of minutes need not survive a power cut, and an fsync is what
        // takes time here.
        self.writer
            .submit(Durability::Process, move |group| {
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
        let len = checks::page_len(limit);
        // One more than the page holds, to know whether another follows.
        let entries = self.read(|snapshot| snapshot.entries(&range.start, &range.end, len + 1))?;
        Ok(checks::page(entries, len))
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        self.writer
            .submit(Durability::Process, move |group| group.purge(limit).map(Ok))
            .await
    }

    async fn snapshot(&self) -> Result<Box<dyn super::Snapshot>, StoreError> {
        let reading = Reading::begin(self.database.reader()?, &self.clock)?;
        Ok(Box::new(reading))
    }
}

/// The database as the last commit before the read left it.
struct Snapshot<'a> {
    transaction: Transaction<'a>,
    now_ms: Millis,
}

impl Snapshot<'_> {
    fn entry(&self, key: &str) -> rusqlite::Result<Option<Entry>> {
        self.transaction
            .prepare_cached(
                "SELECT key, value, version FROM entries
                 WHERE key = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
            )?
            .query_row(params![key, self.now_ms], entry)
            .optional()
    }

    fn entries(&self, start: &str, end: &str, limit: u32) -> rusqlite::Result<Vec<Entry>> {
        self.transaction
            .prepare_cached(
                "SELECT key, value, version FROM entries
                 WHERE key >= ?1 AND key < ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)
                 ORDER BY key LIMIT ?4",
            )?
            .query_map(params![start, end, self.now_ms, limit], entry)?
            .collect()
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        version: row.get::<_, i64>(2)?.to_string(),
    })
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
