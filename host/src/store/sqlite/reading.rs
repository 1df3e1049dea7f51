//! Reads, on their own connections.
//!
//! A small read runs on the calling thread, although that may belong to an async
//! runtime: the data comes from memory and takes about 10 µs, less than handing it to
//! another thread and back. What it reads is [cached](super::record_cache) until the next
//! commit. All other reads run on threads that may block, a few at a
//! time, so that the runtime's threads keep their share of the processors. They are
//! aborted when their callers go away.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::record_cache::{RecordCache, Stored};
use super::schema::Database;
use crate::store::checks::{self, TooLarge};
use crate::store::clock::{self, Clock, Millis};
use crate::store::{Entry, MAX_ANSWER_BYTES, Page, StoreError};

/// Number of idle connections kept open.
const IDLE: usize = 16;
/// Maximum number of records that a small read looks at, including expired ones: more
/// than a page of one user's sessions has.
const SMALL_RECORDS: usize = 128;
/// Maximum size of these records in bytes.
const SMALL_BYTES: usize = 256 * 1024;
/// Maximum number of concurrent long reads.
const LONG_READS: usize = 4;
/// Time limit of a long read. The size of a page is limited, but skipping expired
/// records takes time as well.
const LONGEST: Duration = Duration::from_secs(5);

/// The pool of connections for reading.
pub(super) struct Readers {
    database: Database,
    cache: RecordCache,
    clock: Clock,
    idle: Mutex<Vec<Connection>>,
    long_reads: Semaphore,
}

impl Readers {
    /// Creates the pool for a database whose connection for writing is open, and stays open
    /// as long as the pool.
    pub(super) fn new(database: Database, clock: Clock) -> Self {
        let (first, index) = database.index();
        Self {
            database,
            cache: RecordCache::new(index),
            clock,
            idle: Mutex::new(Vec::from_iter(first)),
            long_reads: Semaphore::new(LONG_READS),
        }
    }

    /// Opens a connection outside the pool.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        self.database.reader()
    }

    pub(super) async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        if keys.len() <= SMALL_RECORDS {
            match self.small(keys) {
                Err(Unread::Large) => {}
                read => return Ok(read?),
            }
        }
        let keys = keys.to_vec();
        self.elsewhere(move |snapshot| snapshot.entries(&keys, MAX_ANSWER_BYTES))
            .await
    }

    /// Reads a few records from the cache, or from the database into the cache.
    fn small(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unread> {
        let before = self.cache.header();
        if let Some(header) = before {
            let now_ms = clock::now_ms(&self.clock);
            if let Some(entries) = self.cache.get(header, keys, SMALL_BYTES, now_ms) {
                return Ok(entries);
            }
        }
        let mut read = Vec::with_capacity(keys.len());
        let entries = self.here(|snapshot| {
            checks::get_within(SMALL_BYTES, keys, |key, room| {
                let stored = snapshot.stored(key, room)?;
                read.push((key.to_owned(), stored.clone()));
                Ok(stored.map(|stored| stored.entry))
            })
        })?;
        // A commit in the meantime leaves open what was read.
        if let Some(header) = before
            && self.cache.header() == before
        {
            self.cache.put(header, read);
        }
        Ok(entries)
    }

    pub(super) async fn scan(&self, range: Range<String>, limit: u32) -> Result<Page, StoreError> {
        match self.here(|snapshot| snapshot.page(&range, limit, SMALL)) {
            Err(Unread::Large) => {}
            read => return Ok(read?),
        }
        self.elsewhere(move |snapshot| snapshot.page(&range, limit, ANY))
            .await
    }

    /// Runs `query` on one snapshot of the database, on this thread.
    fn here<T>(&self, query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread>) -> Result<T, Unread> {
        let mut connection = self.connection()?;
        let wanted = Wanted::default();
        let result = Snapshot::of(&mut connection, &self.clock, &wanted, query);
        self.keep(connection, &result);
        result
    }

    /// Runs `query` on one snapshot of the database, on a thread that may block, once a
    /// slot is free. Dropping the future aborts the read.
    async fn elsewhere<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("a read was aborted".into());
        let _turn = self.long_reads.acquire().await.map_err(|_| ended())?;
        let mut connection = self.connection()?;
        let clock = self.clock.clone();
        let caller = Caller::default();
        let wanted = caller.0.clone();
        let reading = spawn_blocking(move || {
            let result = Snapshot::of(&mut connection, &clock, &wanted, query);
            (connection, result)
        });
        let too_long = |_| StoreError::Unavailable("a read took too long".into());
        let read = timeout(LONGEST, reading).await.map_err(too_long)?;
        let (connection, result) = read.map_err(|_| ended())?;
        self.keep(connection, &result);
        Ok(result?)
    }

    fn connection(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.open(), Ok)
    }

    /// Returns a connection to the pool unless it has failed; the next read opens
    /// another.
    fn keep<T>(&self, connection: Connection, result: &Result<T, Unread>) {
        let mut idle = self.idle();
        if idle.len() < IDLE && !matches!(result, Err(Unread::Failed(_))) {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Only a push or a pop happens under the lock, so the data behind a poisoned
        // lock is consistent.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flag that tells whether a read is still wanted, checked at every record:
/// interrupting SQLite would not affect a query that has yet to begin.
#[derive(Clone, Default)]
struct Wanted {
    is_over: Arc<AtomicBool>,
}

impl Wanted {
    fn require(&self) -> Result<(), Unread> {
        if self.is_over.load(Ordering::Relaxed) {
            Err(Unread::Unwanted)
        } else {
            Ok(())
        }
    }
}

/// The caller that waits for a read. Dropping it cancels the read.
#[derive(Default)]
struct Caller(Wanted);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Limits of the search for a page: the number of records looked at, including expired
/// ones, and their bytes.
#[derive(Clone, Copy)]
struct Effort {
    records: usize,
    bytes: usize,
}

const SMALL: Effort = Effort {
    records: SMALL_RECORDS,
    bytes: SMALL_BYTES,
};
const ANY: Effort = Effort {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// Reasons why a read produced no result.
enum Unread {
    /// The result exceeds its size limit.
    Large,
    /// The caller has gone.
    Unwanted,
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
            Unread::Unwanted => StoreError::Unavailable("a read was aborted".into()),
            Unread::Failed(error) => error.into(),
        }
    }
}

/// The database as of the last commit before the read.
struct Snapshot<'a> {
    transaction: Transaction<'a>,
    now_ms: Millis,
    wanted: &'a Wanted,
}

impl Snapshot<'_> {
    fn of<T>(
        connection: &mut Connection,
        clock: &Clock,
        wanted: &Wanted,
        query: impl FnOnce(&Snapshot<'_>) -> Result<T, Unread>,
    ) -> Result<T, Unread> {
        query(&Snapshot {
            transaction: connection.transaction()?,
            now_ms: clock::now_ms(clock),
            wanted,
        })
    }

    /// Reads the records under these keys if they have at most `room` bytes.
    fn entries(&self, keys: &[String], room: usize) -> Result<Vec<Option<Entry>>, Unread> {
        let entry = |key: &str, room| {
            let stored = self.stored(key, room)?;
            Ok(stored.map(|stored| stored.entry))
        };
        checks::get_within(room, keys, entry)
    }

    /// Reads one record if its value has at most `room` bytes.
    fn stored(&self, key: &str, room: usize) -> Result<Option<Stored>, Unread> {
        self.wanted.require()?;
        // SQLite knows the length of a value without reading it: one that is too large
        // is never copied.
        let mut query = self.transaction.prepare_cached(
            "SELECT key, CASE WHEN length(value) <= ?3 THEN value END, version, expires_at_ms
             FROM entries
             WHERE key = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
        )?;
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let stored = query
            .query_row(params![key, self.now_ms, room], |row| {
                let value: Option<Vec<u8>> = row.get(1)?;
                let Some(value) = value else {
                    return Ok(None);
                };
                let entry = entry(row, value)?;
                let expires_at_ms = row.get(3)?;
                Ok(Some(Stored {
                    entry,
                    expires_at_ms,
                }))
            })
            .optional()?;
        match stored {
            Some(None) => Err(Unread::Large),
            Some(found) => Ok(found),
            None => Ok(None),
        }
    }

    /// Reads the page if these limits suffice.
    fn page(&self, range: &Range<String>, limit: u32, effort: Effort) -> Result<Page, Unread> {
        let mut query = self.transaction.prepare_cached(
            "SELECT key,
                 CASE WHEN length(value) <= ?3 AND (expires_at_ms IS NULL OR expires_at_ms > ?4)
                     THEN value END,
                 version, length(value), expires_at_ms
             FROM entries WHERE key >= ?1 AND key < ?2 ORDER BY key",
        )?;
        let Effort {
            mut records,
            mut bytes,
        } = effort;
        let most = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut rows = query.query(params![range.start, range.end, most, self.now_ms])?;
        let mut next = || -> Result<Option<Entry>, Unread> {
            while let Some(row) = rows.next()? {
                self.wanted.require()?;
                let length = usize::try_from(row.get::<_, i64>(3)?).unwrap_or(usize::MAX);
                bytes = bytes.checked_sub(length).ok_or(TooLarge)?;
                records = records.checked_sub(1).ok_or(TooLarge)?;
                if clock::is_live(row.get(4)?, self.now_ms) {
                    return Ok(Some(entry(row, row.get(1)?)?));
                }
            }
            Ok(None)
        };
        checks::page(std::iter::from_fn(|| next().transpose()), limit)
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
    use std::time::SystemTime;

    use tokio::sync::oneshot;

    use super::*;

    /// Fills a database with records that have expired, followed by one that has not.
    fn filled(expired: usize, bytes: usize) -> (tempfile::TempDir, Connection, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let (database, writer) = Database::open(&folder.path().join("db")).unwrap();
        let insert = "INSERT INTO entries VALUES (?1, zeroblob(?2), 1, ?3)";
        let bytes = i64::try_from(bytes).unwrap();
        writer.execute_batch("BEGIN").unwrap();
        for number in 0..expired {
            let row = params![format!("k/{number:04}"), bytes, 1];
            writer.execute(insert, row).unwrap();
        }
        let row = params!["k/z", bytes, None::<i64>];
        writer.execute(insert, row).unwrap();
        writer.execute_batch("COMMIT").unwrap();
        (folder, writer, Readers::new(database, clock::system()))
    }

    #[tokio::test]
    async fn small_reads_run_on_the_calling_thread_and_others_do_not() {
        for (expired, bytes, is_small) in [
            (0, 10, true),
            (0, SMALL_BYTES, true),
            (0, SMALL_BYTES + 1, false),
            (SMALL_RECORDS - 1, 10, true),
            (SMALL_RECORDS, 10, false),
            (20, SMALL_BYTES / 20, false),
        ] {
            let (_folder, _writer, readers) = filled(expired, bytes);
            let range = checks::range("k/", None).unwrap();
            let here = readers.here(|snapshot| snapshot.page(&range, 10, SMALL));
            assert_eq!(here.is_ok(), is_small, "{expired} records of {bytes} bytes");
            // The result is the same either way.
            let page = readers.scan(range, 10).await.unwrap();
            let read: Vec<_> = page
                .entries
                .iter()
                .map(|it| (&*it.key, it.value.len()))
                .collect();
            assert_eq!((read, page.next), (vec![("k/z", bytes)], None));
        }
    }

    #[tokio::test]
    async fn cached_records_are_those_of_the_last_commit_of_any_connection() {
        let (_folder, writer, readers) = filled(0, 3);
        let keys = ["k/z".to_owned(), "k/absent".to_owned()];
        let value = async || {
            let read = readers.get(&keys).await.unwrap();
            let header = readers.cache.header().unwrap();
            let now_ms = clock::now_ms(&readers.clock);
            let cached = readers.cache.get(header, &keys, SMALL_BYTES, now_ms);
            assert_eq!(cached, Some(read.clone()));
            let values = read.into_iter().map(|entry| entry.map(|entry| entry.value));
            values.collect::<Vec<_>>()
        };
        assert_eq!(value().await, [Some(vec![0; 3]), None]);
        let update = "UPDATE entries SET value = x'01' WHERE key = 'k/z'";
        writer.execute(update, []).unwrap();
        assert_eq!(value().await, [Some(vec![1]), None]);
        let insert = "INSERT INTO entries VALUES ('k/absent', x'02', 1, NULL)";
        writer.execute(insert, []).unwrap();
        assert_eq!(value().await, [Some(vec![1]), Some(vec![2])]);
        // The index of the log starts again with the log.
        writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        writer.execute("DELETE FROM entries", []).unwrap();
        assert_eq!(value().await, [None, None]);
    }

    #[tokio::test]
    async fn a_cached_record_expires() {
        let (_folder, writer, mut readers) = filled(0, 3);
        let update = "UPDATE entries SET expires_at_ms = 1000";
        writer.execute(update, []).unwrap();
        let keys = ["k/z".to_owned()];
        let at =
            |ms| -> Clock { Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_millis(ms)) };
        for (now_ms, is_live) in [(999, true), (1000, false)] {
            readers.clock = at(now_ms);
            let read = readers.get(&keys).await.unwrap();
            assert_eq!(read[0].is_some(), is_live, "{now_ms}");
        }
    }

    #[tokio::test]
    async fn a_read_is_aborted_when_its_caller_is_gone() {
        let (_folder, _writer, readers) = filled(1_000, 1);
        let range = checks::range("k/", None).unwrap();
        let (began, begins) = oneshot::channel();
        let (ended, ends) = oneshot::channel();
        let read = readers.elsewhere(move |snapshot| {
            began.send(()).unwrap();
            // Reads the record in a loop until the read is cancelled.
            let unwanted = loop {
                if let Err(unwanted) = snapshot.page(&range, 1, ANY) {
                    break unwanted;
                }
            };
            let _ = ended.send(matches!(unwanted, Unread::Unwanted));
            Err::<(), _>(unwanted)
        });
        tokio::select! {
            _ = read => panic!("the read never ends by itself"),
            begun = begins => begun.unwrap(),
        }
        assert!(ends.await.unwrap());
        // Its slot is free again, and the other reads are unaffected.
        assert_eq!(readers.long_reads.available_permits(), LONG_READS);
        assert_eq!(readers.get(&["none".into()]).await.unwrap(), [None]);
    }
}
