//! Reads on behalf of several callers at once.
//!
//! While [`AT_ONCE`] statements are running, further reads wait, and the next statement
//! reads for all that wait. So a read never waits for company, but under load a round
//! trip serves many callers. A statement begins after all of its callers have asked, so
//! each sees every change that was answered before.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::connections::{Connections, answer, parameter};
use crate::store::checks::{self, TooLarge};
use crate::store::clock::{self, Clock};
use crate::store::{Entry, MAX_ANSWER_BYTES, StoreError};

/// Number of statements at a time. With two, the server has work while this process
/// hands out results; more would make for smaller groups.
const AT_ONCE: usize = 2;
/// Number of keys after which a statement takes no further caller.
const FULL: usize = 256;
/// The server sends nothing beyond this: it knows the length of a value without reading
/// it.
const ANSWER_BYTES: i64 = MAX_ANSWER_BYTES as i64;
/// Omits all values if they exceed the size limit together. Every name is qualified with
/// its schema, as in the functions.
const GET: &str = "
    SELECT key, CASE WHEN total OPERATOR(pg_catalog.<=) $3 THEN value END, version FROM (
        SELECT *, pg_catalog.sum(pg_catalog.length(value)) OVER () AS total
        FROM user_auth.get($1, $2)
    ) AS found";

/// The reads that wait, and what is needed to serve them.
pub(super) struct Reads {
    connections: Arc<Connections>,
    /// The clock of a test, or `None` for the server's.
    clock: Option<Clock>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Read>,
    /// The number of tasks that serve the queue. The last look of a task at an empty
    /// queue and its end are one step, so no read is left behind.
    running: usize,
}

struct Read {
    keys: Vec<String>,
    respond: oneshot::Sender<Result<Vec<Option<Entry>>, StoreError>>,
}

impl Reads {
    pub(super) fn new(connections: Arc<Connections>, clock: Option<Clock>) -> Arc<Self> {
        Arc::new(Self {
            connections,
            clock,
            queue: Mutex::default(),
        })
    }

    /// Reads the records under `keys`, in that order, as one snapshot.
    pub(super) async fn get(
        self: &Arc<Self>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<Entry>>, StoreError> {
        let (respond, entries) = oneshot::channel();
        if self.enqueue(Read { keys, respond }) {
            tokio::spawn(Arc::clone(self).serve());
        }
        entries
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the read was aborted".into())))
    }

    /// Returns whether another task has to serve the queue.
    fn enqueue(&self, read: Read) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push_back(read);
        let needed = queue.running < AT_ONCE;
        if needed {
            queue.running += 1;
        }
        needed
    }

    /// Takes reads that fit into one statement, or none if the task has to end.
    fn next(&self) -> Vec<Read> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = 0;
        let mut group = Vec::new();
        while keys < FULL
            && let Some(read) = queue.waiting.pop_front()
        {
            // The caller may have gone while it waited.
            if !read.respond.is_closed() {
                keys += read.keys.len();
                group.push(read);
            }
        }
        if group.is_empty() {
            queue.running -= 1;
        }
        group
    }

    async fn serve(self: Arc<Self>) {
        loop {
            let group = self.next();
            if group.is_empty() {
                return;
            }
            self.read(group).await;
        }
    }

    async fn read(&self, group: Vec<Read>) {
        let rows = match self.rows(&group).await {
            Ok(rows) => rows,
            Err(error) => {
                for read in group {
                    read.finish(Err(error.clone()));
                }
                return;
            }
        };
        // Together the records are too many bytes; those of one read may not be.
        if group.len() > 1 && rows.iter().any(Found::is_omitted) {
            for read in group {
                Box::pin(self.read(vec![read])).await;
            }
            return;
        }
        let found: HashMap<&str, &Found> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
        for read in group {
            let entries = checks::get(&read.keys, |key| {
                found.get(key).map(|row| row.entry()).transpose()
            });
            read.finish(entries);
        }
    }

    /// Returns the records of all reads of the group.
    async fn rows(&self, group: &[Read]) -> Result<Vec<Found>, StoreError> {
        let wanted: Vec<String> = group.iter().flat_map(|read| read.keys.clone()).collect();
        let parameters = vec![
            parameter(wanted, Type::TEXT_ARRAY),
            parameter(self.clock.as_ref().map(clock::now_ms), Type::INT8),
            parameter(ANSWER_BYTES, Type::INT8),
        ];
        let connection = self.connections.connection().await?;
        let rows = answer(connection, GET, parameters).await?;
        rows.iter().map(Found::from_row).collect()
    }
}

impl Read {
    fn finish(self, entries: Result<Vec<Option<Entry>>, StoreError>) {
        // The caller may have gone.
        let _ = self.respond.send(entries);
    }
}

/// A live record.
struct Found {
    key: String,
    /// `None` if it was omitted.
    value: Option<Vec<u8>>,
    version: String,
}

impl Found {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: row.try_get(0)?,
            value: row.try_get(1)?,
            version: row.try_get(2)?,
        })
    }

    fn is_omitted(&self) -> bool {
        self.value.is_none()
    }

    fn entry(&self) -> Result<Entry, StoreError> {
        Ok(Entry {
            key: self.key.clone(),
            value: self.value.clone().ok_or(TooLarge)?,
            version: self.version.clone(),
        })
    }
}
