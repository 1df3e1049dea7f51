//! The writer thread, the only one that changes the database.
//!
//! Most of the time of a commit is the fsync. So the thread takes all waiting jobs into
//! one transaction, commits them with one fsync, and answers them only then.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::store::clock::{self, Clock, Millis};
use crate::store::{Expect, Mutation, Outcome, StoreError, checks};

/// Maximum number of jobs in a transaction. More would make the first of them wait
/// without making the fsync much cheaper for each.
const MAX_GROUP: usize = 128;
/// Number of jobs that may be queued; further callers wait.
const MAX_WAITING: usize = 1024;
/// Maximum total weight of the jobs that are queued or running, and so of a group: jobs
/// stay in the queue after their callers have gone.
const MAX_WEIGHT: usize = 16 << 20;
/// Weight of a mutation beyond its bytes: about its size in memory.
const MUTATION_WEIGHT: usize = 128;

/// The failures that a change has to survive before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Durability {
    /// A crash of this process: the operating system has the write-ahead log.
    Process,
    /// A crash of the machine: the write-ahead log is on the disk.
    Machine,
}

/// Handle of the thread. Dropping it waits until all jobs are done.
pub(super) struct Writer {
    // Both are present until the drop.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    room: Arc<Semaphore>,
}

/// Returns the weight of a batch in the queue.
pub(super) fn weight(batch: &[Mutation]) -> usize {
    let weights = batch.iter().map(Mutation::bytes);
    weights.map(|bytes| bytes + MUTATION_WEIGHT).sum()
}

impl Writer {
    /// Starts the thread on a connection that is the only one to write.
    pub(super) fn start(connection: Connection, clock: Clock) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        let thread = thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || run(connection, &clock, waiting))
            .map_err(|error| {
                StoreError::Unavailable(format!("cannot start the writer thread: {error}"))
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            room: Arc::new(Semaphore::new(MAX_WEIGHT)),
        })
    }

    /// Runs `work` in the transaction of its group, and returns its result once that
    /// has at least this durability. A caller that stops waiting does not stop the
    /// work. Heavy work waits until there is room for it.
    ///
    /// The outer error of `work` fails the group; the inner one rejects this job alone,
    /// which then must not have written anything.
    pub(super) async fn submit<T, W>(
        &self,
        durability: Durability,
        weight: usize,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut Group<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    {
        let stopped = || StoreError::Unavailable("the writer thread has stopped".into());
        // The largest batch weighs less than the maximum.
        let weight = u32::try_from(weight.min(MAX_WEIGHT)).unwrap_or(u32::MAX);
        let room = match Arc::clone(&self.room).try_acquire_many_owned(weight) {
            Ok(room) => room,
            Err(_) => {
                let room = Arc::clone(&self.room).acquire_many_owned(weight);
                room.await.map_err(|_| stopped())?
            }
        };
        let (reply, result) = oneshot::channel();
        let job = Box::new(Pending {
            durability,
            work,
            result: None,
            reply,
            _room: room,
        });
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.send(job).await.map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the channel is closed and empty.
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer thread of SQLite has panicked");
        }
    }
}

fn run(mut connection: Connection, clock: &Clock, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    let mut jobs = Vec::with_capacity(MAX_GROUP);
    let mut durability = None;
    // Sleeps until there is a job, then takes all that are waiting.
    while waiting.blocking_recv_many(&mut jobs, MAX_GROUP) > 0 {
        let needed = jobs.iter().map(|job| job.durability()).max();
        let committed = set_durability(&connection, &mut durability, needed)
            .and_then(|()| commit_group(&mut connection, clock, &mut jobs));
        if let Err(error) = &committed {
            tracing::warn!(%error, jobs = jobs.len(), "a group of writes failed");
        }
        for job in jobs.drain(..) {
            job.answer(&committed);
        }
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "SQLite did not close; the next start recovers the log");
    }
}

/// Sets the durability of the next commits, if it changes.
fn set_durability(
    connection: &Connection,
    current: &mut Option<Durability>,
    needed: Option<Durability>,
) -> Result<(), StoreError> {
    if *current != needed {
        let synchronous = match needed {
            Some(Durability::Process) => "NORMAL",
            Some(Durability::Machine) | None => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        *current = needed;
    }
    Ok(())
}

fn commit_group(
    connection: &mut Connection,
    clock: &Clock,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), StoreError> {
    let mut group = Group::begin(connection, clock)?;
    for job in jobs {
        job.run(&mut group)?;
    }
    Ok(group.end()?)
}

/// A job and the caller that may be waiting for it.
trait Job: Send {
    fn durability(&self) -> Durability;

    fn run(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()>;

    /// Reports the result to the caller, now that the group `committed` or failed.
    fn answer(self: Box<Self>, committed: &Result<(), StoreError>);
}

struct Pending<T, W> {
    durability: Durability,
    work: W,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    _room: OwnedSemaphorePermit,
}

impl<T, W> Job for Pending<T, W>
where
    T: Send,
    W: Fn(&mut Group<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, group: &mut Group<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.work)(group)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: &Result<(), StoreError>) {
        let answer = match (committed, self.result) {
            (Err(error), _) => Err(error.clone()),
            (Ok(()), Some(result)) => result,
            // A group commits only after each of its jobs has run; without a
            // result the caller learns that the reply was dropped.
            (Ok(()), None) => return,
        };
        // The caller may have stopped waiting.
        let _ = self.reply.send(answer);
    }
}

/// The transaction shared by a group of jobs.
pub(super) struct Group<'a> {
    transaction: Transaction<'a>,
    now_ms: Millis,
    /// The last version assigned, by any process.
    last_version: i64,
    /// Whether this group has assigned a version.
    versioned: bool,
}

impl<'a> Group<'a> {
    fn begin(connection: &'a mut Connection, clock: &Clock) -> rusqlite::Result<Self> {
        // Immediate: data that the group reads stays valid until it commits, because no
        // other process can write in between.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last_version = transaction
            .prepare_cached("SELECT last FROM versions")?
            .query_row([], |row| row.get(0))?;
        Ok(Self {
            transaction,
            now_ms: clock::now_ms(clock),
            last_version,
            versioned: false,
        })
    }

    fn end(self) -> rusqlite::Result<()> {
        if self.versioned {
            self.transaction
                .prepare_cached("UPDATE versions SET last = ?1")?
                .execute([self.last_version])?;
        }
        self.transaction.commit()
    }

    /// Applies a batch with distinct keys.
    pub(super) fn commit(&mut self, batch: &[Mutation]) -> rusqlite::Result<Outcome> {
        // A batch contains each key once, so no mutation affects another's
        // precondition: all are checked before the first is applied, and a conflict
        // leaves nothing to roll back.
        for (index, mutation) in (0..).zip(batch) {
            let holds = match &mutation.expect {
                Expect::Any => true,
                Expect::Absent => self.version(&mutation.key)?.is_none(),
                Expect::At(version) => self
                    .version(&mutation.key)?
                    .is_some_and(|live| live.to_string() == *version),
            };
            if !holds {
                return Ok(Outcome::Conflict(index));
            }
        }
        for Mutation { key, put, ttl, .. } in batch {
            match put {
                Some(value) => {
                    let expires_at_ms = clock::expires_at_ms(self.now_ms, *ttl);
                    self.put(key, value, expires_at_ms)?;
                }
                None => self.delete(key)?,
            }
        }
        Ok(Outcome::Committed)
    }

    /// Adds to a counter, or refuses to.
    pub(super) fn add(
        &mut self,
        key: &str,
        delta: i64,
        ttl: Option<Duration>,
    ) -> rusqlite::Result<Result<i64, StoreError>> {
        let counter: Option<(Vec<u8>, Option<Millis>)> = self
            .transaction
            .prepare_cached(
                "SELECT value, expires_at_ms FROM entries
                 WHERE key = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
            )?
            .query_row(params![key, self.now_ms], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let (value, expires_at_ms) = match &counter {
            Some((value, expires_at_ms)) => (Some(value.as_slice()), *expires_at_ms),
            None => (None, clock::expires_at_ms(self.now_ms, ttl)),
        };
        let sum = match checks::sum(key, value, delta) {
            Ok(sum) => sum,
            Err(refused) => return Ok(Err(refused)),
        };
        self.put(key, sum.to_string().as_bytes(), expires_at_ms)?;
        Ok(Ok(sum))
    }

    /// Deletes up to `limit` expired records, the longest expired first.
    pub(super) fn purge(&mut self, limit: u32) -> rusqlite::Result<u32> {
        let purged = self
            .transaction
            .prepare_cached(
                "DELETE FROM entries WHERE key IN (
                     SELECT key FROM entries WHERE expires_at_ms <= ?1
                     ORDER BY expires_at_ms LIMIT ?2)",
            )?
            .execute(params![self.now_ms, limit])?;
        // At most `limit`, so this never saturates.
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }

    /// Returns the version of the live record under `key`.
    fn version(&self, key: &str) -> rusqlite::Result<Option<i64>> {
        self.transaction
            .prepare_cached(
                "SELECT version FROM entries
                 WHERE key = ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)",
            )?
            .query_row(params![key, self.now_ms], |row| row.get(0))
            .optional()
    }

    fn put(
        &mut self,
        key: &str,
        value: &[u8],
        expires_at_ms: Option<Millis>,
    ) -> rusqlite::Result<()> {
        self.versioned = true;
        self.last_version += 1;
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO entries VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, value, self.last_version, expires_at_ms])?;
        Ok(())
    }

    fn delete(&mut self, key: &str) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("DELETE FROM entries WHERE key = ?1")?
            .execute([key])?;
        Ok(())
    }
}
