//! Reads, on connections of their own.
//!
//! A small one runs on the thread of its caller, although that may be one of an async
//! runtime: it comes from memory and takes some 10 µs, which is less than it takes to
//! hand it to another thread and back. All others run on threads that may wait, a few
//! at a time, so that those of the runtime keep their share of the processors; and they
//! end with whoever asked for them.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OptionalExtension, Row, Transaction, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::schema::Database;
use crate::store::checks::{self, TooLarge};
use crate::store::clock::{self, Clock, Millis};
use crate::store::{Entry, MAX_ANSWER_BYTES, Page, StoreError};

/// How many connections are kept open for the next read.
const IDLE: usize = 16;
/// The most records that a small read names: all roles of an account, and some more.
const SMALL_KEYS: usize = 64;
/// The most bytes that a small read answers.
const SMALL_BYTES: usize = 64 * 1024;
/// How many other reads run at one time.
const LONG_READS: usize = 4;
/// How long each of them may take. A page ends with its bytes, but the records on the
/// way to it that have expired cost time as well.
const LONGEST: Duration = Duration::from_secs(5);

/// The connections that read.
pub(super) struct Readers {
    database: Database,
    clock: Clock,
    idle: Mutex<Vec<Connection>>,
    long_reads: Semaphore,
}

impl Readers {
    pub(super) fn new(database: Database, clock: Clock) -> Self {
        Self {
            database,
            clock,
            idle: Mutex::default(),
            long_reads: Semaphore::new(LONG_READS),
        }
    }

    /// Another connection, which is not kept.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        self.database.reader()
    }

    pub(super) async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        if keys.len() <= SMALL_KEYS {
            match self.here(|snapshot| snapshot.entries(keys, SMALL_BYTES)) {
                Err(Unread::Large) => {}
                read => return Ok(read?),
            }
        }
        let keys = keys.to_vec();
        self.elsewhere(move |snapshot| snapshot.entries(&keys, MAX_ANSWER_BYTES))
            .await
    }

    pub(super) async fn scan(&self, range: Range<String>, limit: u32) -> Result<Page, StoreError> {
        self.elsewhere(move |snapshot| snapshot.page(&range, limit))
            .await
    }

    /// Runs `query` on one snapshot of the database, on this thread.
    fn here<T>(&self, query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread>) -> Result<T, Unread> {
        let mut connection = self.connection()?;
        let result = Snapshot::of(&mut connection, &self.clock, query);
        self.keep(connection, &result);
        result
    }

    /// Runs `query` on one snapshot of the database, on a thread that may wait, once it
    /// is its turn. Dropped before its end, it is broken off.
    async fn elsewhere<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("a read was broken off".into());
        let _turn = self.long_reads.acquire().await.map_err(|_| ended())?;
        let mut connection = self.connection()?;
        let clock = self.clock.clone();
        let interrupt = Interrupt(Some(connection.get_interrupt_handle()));
        let reading = spawn_blocking(move || {
            let result = Snapshot::of(&mut connection, &clock, query);
            (connection, result)
        });
        let too_long = |_| StoreError::Unavailable("a read took too long".into());
        let read = timeout(LONGEST, reading).await.map_err(too_long)?;
        let (connection, result) = read.map_err(|_| ended())?;
        // From here on another read may have the connection.
        interrupt.disarm();
        self.keep(connection, &result);
        Ok(result?)
    }

    fn connection(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.open(), Ok)
    }

    /// Keeps a connection, unless it has failed: the next read opens another.
    fn keep<T>(&self, connection: Connection, result: &Result<T, Unread>) {
        let mut idle = self.idle();
        if idle.len() < IDLE && !matches!(result, Err(Unread::Failed(_))) {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing but a push or a pop happens under the lock, so what a
        // poisoned lock guards is whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Breaks a read off when it is dropped.
struct Interrupt(Option<InterruptHandle>);

impl Interrupt {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.interrupt();
        }
    }
}

/// Why there is no answer.
enum Unread {
    /// It has more bytes than it may.
    Large,
    Failed(rusqlite::Error),
}

impl From<TooLarge> for Unread {
    fn from(_: TooLarge) -> Self {
        Self::Large
    }
}

impl From<rusqlite::Error> for Unread {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unread> for StoreError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Large => TooLarge.into(),
            Unread::Failed(error) => error.into(),
        }
    }
}

/// The database as the last commit before the read left it.
struct Snapshot<'a> {
    transaction: Transaction<'a>,
    now_ms: Millis,
}

impl Snapshot<'_> {
    fn of<T>(
        connection: &mut Connection,
        clock: &Clock,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread>,
    ) -> Result<T, Unread> {
        query(&Snapshot {
            transaction: connection.transaction()?,
            now_ms: clock::now_ms(clock),
        })
    }

    /// The records under these keys, if they have no more than `room` bytes.
    fn entries(&self, keys: &[String], room: usize) -> Result<Vec<Option<Entry>>, Unread> {
        checks::get_within(room, keys, |key, room| self.entry(key, room))
    }

    fn entry(&self, key: &str, room: usize) -> Result<Option<Entry>, Unread> {
        // SQLite knows the length of a value without reading it: one that is too large
        // is never copied.
        let mut query = self.transaction.prepare_cached(
            "SELECT key, CASE WHEN length(value) <= ?3 THEN value END, version FROM entries
             WHERE key = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
        )?;
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let entry = query
            .query_row(params![key, self.now_ms, room], |row| {
                let value: Option<Vec<u8>> = row.get(1)?;
                value.map(|value| entry(row, value)).transpose()
            })
            .optional()?;
        match entry {
            Some(None) => Err(Unread::Large),
            Some(found) => Ok(found),
            None => Ok(None),
        }
    }

    fn page(&self, range: &Range<String>, limit: u32) -> Result<Page, Unread> {
        let mut query = self.transaction.prepare_cached(
            "SELECT key, value, version FROM entries
             WHERE key >= ?1 AND key < ?2 AND (expires_at_ms IS NULL OR expires_at_ms > ?3)
             ORDER BY key LIMIT ?4",
        )?;
        // One more than the page holds, to know whether another follows.
        let rows = checks::page_len(limit) + 1;
        let entries = query
            .query_map(params![range.start, range.end, self.now_ms, rows], |row| {
                entry(row, row.get(1)?)
            })?;
        Ok(checks::page(entries, limit)?)
    }
}

fn entry(row: &Row<'_>, value: Vec<u8>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key: row.get(0)?,
        value,
        version: row.get::<_, i64>(2)?.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                           SELECT count(*) FROM n";

    #[tokio::test]
    async fn a_read_whose_caller_has_gone_is_broken_off() {
        let folder = tempfile::tempdir().unwrap();
        let (database, _writer) = Database::open(&folder.path().join("db")).unwrap();
        let readers = Readers::new(database, clock::system());
        let (began, begins) = oneshot::channel();
        let (ended, ends) = oneshot::channel();
        let read = readers.elsewhere(move |snapshot| {
            began.send(()).unwrap();
            let counted = snapshot
                .transaction
                .query_row(ENDLESS, [], |row| row.get(0));
            ended.send(counted.is_err()).unwrap();
            Ok::<i64, _>(counted?)
        });
        tokio::select! {
            _ = read => panic!("it has no end"),
            begun = begins => begun.unwrap(),
        }
        assert!(ends.await.unwrap());
        assert!(readers.idle().is_empty());
        // Its turn is another's now, and the others know nothing of it.
        assert_eq!(readers.long_reads.available_permits(), LONG_READS);
        assert_eq!(readers.get(&["none".into()]).await.unwrap(), [None]);
    }
}
