//! A snapshot of all records, in one read transaction, however long reading takes.
//! Commits continue meanwhile; the write-ahead log keeps the replaced data and grows
//! until the snapshot ends.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::store::clock::{self, Clock, Millis};
use crate::store::{MAX_PAGE, Record, Snapshot, StoreError, checks};

/// A read transaction on its own connection.
pub(super) struct Reading {
    /// `None` while a page is being read, and after a read has failed.
    connection: Option<Connection>,
    now_ms: Millis,
    /// The last key that was read.
    after: String,
}

impl Reading {
    /// Begins the transaction.
    pub(super) fn begin(connection: Connection, clock: &Clock) -> rusqlite::Result<Self> {
        connection.execute_batch("BEGIN")?;
        // A transaction sees the database as of its first read.
        connection.query_row("SELECT last FROM versions", [], |_| Ok(()))?;
        Ok(Self {
            connection: Some(connection),
            now_ms: clock::now_ms(clock),
            after: String::new(),
        })
    }
}

#[async_trait]
impl Snapshot for Reading {
    async fn page(&mut self) -> Result<Vec<Record>, StoreError> {
        let ended = || StoreError::Unavailable("the snapshot has ended".into());
        let connection = self.connection.take().ok_or_else(ended)?;
        let (after, now_ms) = (self.after.clone(), self.now_ms);
        // The pages of a whole database come from the disk.
        let read = tokio::task::spawn_blocking(move || {
            let page = page(&connection, &after, now_ms)?;
            Ok::<_, StoreError>((connection, page))
        });
        let (connection, page) = read.await.map_err(|_| ended())??;
        self.connection = Some(connection);
        if let Some(last) = page.last() {
            self.after.clone_from(&last.key);
        }
        Ok(page)
    }
}

/// Reads the records after the key `after`.
fn page(connection: &Connection, after: &str, now_ms: Millis) -> rusqlite::Result<Vec<Record>> {
    let mut query = connection.prepare_cached(
        "SELECT key, value, expires_at_ms FROM entries
         WHERE key > ?1 AND (expires_at_ms IS NULL OR expires_at_ms > ?2)
         ORDER BY key LIMIT ?3",
    )?;
    let records = query.query_map(params![after, now_ms, MAX_PAGE], |row| {
        Ok(Record {
            key: row.get(0)?,
            value: row.get(1)?,
            expires_at_ms: row.get(2)?,
        })
    })?;
    checks::snapshot_page(records)
}
