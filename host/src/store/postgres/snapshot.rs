//! A snapshot of all records: one transaction on its own connection, which sees what
//! was committed before it began.

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::connections::{CALL_TIMEOUT, Connections};
use super::only;
use crate::store::clock::Millis;
use crate::store::{MAX_PAGE, Record, SNAPSHOT_PAGE_BYTES, Snapshot, StoreError, checks};

/// The server sends no values that begin after this many bytes.
const BYTES: i64 = SNAPSHOT_PAGE_BYTES as i64;

/// A read transaction.
pub(super) struct Reading {
    /// The connection is not pooled: however the read ends, the connection is closed,
    /// and the server ends the transaction.
    connection: ClientWrapper,
    now_ms: Millis,
    /// The last key that was read.
    after: String,
}

impl Reading {
    /// Begins the transaction. `given_now_ms` is the time in a test.
    pub(super) async fn begin(
        connections: &Connections,
        given_now_ms: Option<Millis>,
    ) -> Result<Self, StoreError> {
        let mut reading = Self {
            connection: Object::take(connections.connection().await?),
            now_ms: 0,
            after: String::new(),
        };
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL search_path = pg_catalog, pg_temp";
        timeout(CALL_TIMEOUT, reading.connection.batch_execute(begin))
            .await
            .map_err(|_| no_answer())??;
        // A transaction sees the database as of its first statement.
        let now = "SELECT user_auth.now_ms($1)";
        let rows = reading.rows(now, &[(&given_now_ms, Type::INT8)]).await?;
        reading.now_ms = only(&rows)?.try_get(0)?;
        Ok(reading)
    }

    async fn rows(
        &self,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.connection.query_typed(statement, parameters);
        Ok(timeout(CALL_TIMEOUT, rows)
            .await
            .map_err(|_| no_answer())??)
    }
}

#[async_trait]
impl Snapshot for Reading {
    async fn page(&mut self) -> Result<Vec<Record>, StoreError> {
        let rows = self
            .rows(
                "SELECT key, value, expires_at_ms FROM (
                     SELECT *, sum(length(value)) OVER (ORDER BY key) - length(value) AS before
                     FROM (
                         SELECT key, value, expires_at_ms FROM user_auth.records
                         WHERE key > $1 AND (expires_at_ms IS NULL OR expires_at_ms > $2)
                         ORDER BY key LIMIT $3
                     ) AS next
                 ) AS page
                 WHERE before < $4 ORDER BY key",
                &[
                    (&self.after, Type::TEXT),
                    (&self.now_ms, Type::INT8),
                    (&i64::from(MAX_PAGE), Type::INT8),
                    (&BYTES, Type::INT8),
                ],
            )
            .await?;
        let page = checks::snapshot_page(rows.iter().map(record))?;
        if let Some(last) = page.last() {
            self.after.clone_from(&last.key);
        }
        Ok(page)
    }
}

fn record(row: &Row) -> Result<Record, StoreError> {
    Ok(Record {
        key: row.try_get(0)?,
        value: row.try_get(1)?,
        expires_at_ms: row.try_get(2)?,
    })
}

fn no_answer() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not respond in time".into())
}
