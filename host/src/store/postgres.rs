//! Records in PostgreSQL, for several processes on several machines.
//!
//! - Every call is one call of a function in `migrations/0001_records.sql`: one round
//!   trip, one transaction. The statements are unnamed, so a pooler may use another
//!   session for each transaction; the plans inside of the functions are cached in the
//!   server's session. Reads at the same time share a statement, and its cost.
//! - A commit first locks each of its keys, always in the same order, then checks the
//!   preconditions, then writes. The lock is on the key and not on the row: two commits
//!   that expect no record would find no row to lock. Serializable transactions would
//!   work too, but transactions that contend for an account would fail and have to
//!   retry, where here they wait a few milliseconds.
//! - Records expire by the server's clock, which is the same for all processes. Their
//!   own clocks may differ, and jump.

mod connections;
mod reads;
mod schema;
mod snapshot;
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

pub use self::url::{PostgresUrl, PostgresUrlError};

use self::connections::{Connections, Parameter, parameter};
use self::reads::Reads;
use self::snapshot::Reading;
use super::checks;
use super::clock::{self, Clock, Millis};
use super::{
    Entry, Expect, MAX_ANSWER_BYTES, Mutation, Outcome, Page, Snapshot, Store, StoreError,
};

/// The server sends nothing beyond this: it knows the length of a value without reading
/// it.
const ANSWER_BYTES: i64 = MAX_ANSWER_BYTES as i64;
/// Ends with the record that exceeds the size limit.
const SCAN: &str = r#"
    SELECT key, value, version FROM (
        SELECT *, pg_catalog.sum(pg_catalog.length(value)) OVER (
            ORDER BY key COLLATE "C" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS before
        FROM user_auth.scan($1, $2, $3, $4)
    ) AS page
    WHERE before IS NULL OR before OPERATOR(pg_catalog.<=) $5
    ORDER BY key COLLATE "C"
"#;

/// A store that keeps its records in the schema `user_auth` of a PostgreSQL database,
/// version 13 or later.
///
/// Calls that have reached the server are completed even if the caller has gone. After
/// an outage the next call reconnects.
pub struct PostgresStore {
    connections: Arc<Connections>,
    reads: Arc<Reads>,
    /// The clock of a test, or `None` for the server's.
    clock: Option<Clock>,
}

impl PostgresStore {
    /// Connects, and creates the schema or brings it up to date.
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::start(url, None).await
    }

    /// Opens the store like [`PostgresStore::open`], with `clock` as the source of the
    /// time.
    #[doc(hidden)]
    pub async fn with_clock(url: &PostgresUrl, clock: Clock) -> Result<Self, StoreError> {
        Self::start(url, Some(clock)).await
    }

    async fn start(url: &PostgresUrl, clock: Option<Clock>) -> Result<Self, StoreError> {
        let connections = Connections::new(url)?;
        schema::install(&connections).await.map_err(|reason| {
            StoreError::Unavailable(format!("cannot open the database {url}: {reason}"))
        })?;
        let connections = Arc::new(connections);
        Ok(Self {
            reads: Reads::new(Arc::clone(&connections), clock.clone()),
            connections,
            clock,
        })
    }

    async fn call(
        &self,
        statement: &'static str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Row>, StoreError> {
        self.connections.call(statement, parameters).await
    }

    fn now(&self) -> Parameter {
        parameter(self.clock.as_ref().map(clock::now_ms), Type::INT8)
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        checks::keys(keys)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.reads.get(keys.to_vec()).await
    }

    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError> {
        checks::batch(&batch)?;
        if batch.is_empty() {
            return Ok(Outcome::Committed);
        }
        let mut keys = Vec::with_capacity(batch.len());
        let mut expectations = Vec::with_capacity(batch.len());
        let mut puts = Vec::with_capacity(batch.len());
        let mut ttls_ms = Vec::with_capacity(batch.len());
        for mutation in batch {
            keys.push(mutation.key);
            expectations.push(expectation(mutation.expect));
            puts.push(mutation.put);
            ttls_ms.push(mutation.ttl.and_then(ttl_ms));
        }
        let rows = self
            .connections
            .call(
                "SELECT user_auth.commit($1, $2, $3, $4, $5)",
                vec![
                    parameter(keys, Type::TEXT_ARRAY),
                    parameter(expectations, Type::TEXT_ARRAY),
                    parameter(puts, Type::BYTEA_ARRAY),
                    parameter(ttls_ms, Type::INT8_ARRAY),
                    self.now(),
                ],
            )
            .await?;
        match only(&rows)?.try_get::<_, Option<i64>>(0)? {
            None => Ok(Outcome::Committed),
            Some(index) => u32::try_from(index)
                .map(Outcome::Conflict)
                .map_err(|_| unexpected()),
        }
    }

    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError> {
        checks::key(key)?;
        let rows = self
            .connections
            .call(
                "SELECT total, refused FROM user_auth.add($1, $2, $3, $4)",
                vec![
                    parameter(key.to_owned(), Type::TEXT),
                    parameter(delta, Type::INT8),
                    parameter(ttl.and_then(ttl_ms), Type::INT8),
                    self.now(),
                ],
            )
            .await?;
        let row = only(&rows)?;
        match row.try_get(0)? {
            Some(total) => Ok(total),
            None => Err(match row.try_get(1)? {
                Some("range") => checks::out_of_range(key),
                _ => checks::no_counter(key),
            }),
        }
    }

    async fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let range = checks::range(prefix, after)?;
        // One more than the page holds, to find out whether another page follows.
        let at_most = i64::from(checks::page_len(limit)) + 1;
        let parameters = vec![
            parameter(range.start, Type::TEXT),
            parameter(range.end, Type::TEXT),
            parameter(at_most, Type::INT8),
            self.now(),
            parameter(ANSWER_BYTES, Type::INT8),
        ];
        let rows = self.call(SCAN, parameters).await?;
        checks::page(rows.iter().map(|row| entry(row, row.try_get(1)?)), limit)
    }

    async fn purge(&self, limit: u32) -> Result<u32, StoreError> {
        let rows = self
            .connections
            .call(
                "SELECT user_auth.purge($1, $2)",
                vec![parameter(i64::from(limit), Type::INT8), self.now()],
            )
            .await?;
        let purged: i64 = only(&rows)?.try_get(0)?;
        // At most `limit`, so this never saturates.
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let given_now_ms = self.clock.as_ref().map(clock::now_ms);
        let reading = Reading::begin(&self.connections, given_now_ms).await?;
        Ok(Box::new(reading))
    }
}

/// Returns the precondition in the form that the SQL functions expect.
fn expectation(expect: Expect) -> Option<String> {
    match expect {
        Expect::Any => None,
        Expect::Absent => Some("absent".to_owned()),
        // PostgreSQL text cannot contain NUL, and no version does.
        Expect::At(version) => Some(format!("at {}", version.replace('\0', "?"))),
    }
}

/// Returns the lifetime in milliseconds, or `None` if it is too long to count and so
/// never ends.
fn ttl_ms(ttl: Duration) -> Option<Millis> {
    Millis::try_from(ttl.as_millis())
        .ok()
        .filter(|ttl_ms| *ttl_ms < Millis::MAX / 2)
}

fn entry(row: &Row, value: Vec<u8>) -> Result<Entry, StoreError> {
    Ok(Entry {
        key: row.try_get(0)?,
        value,
        version: row.try_get(2)?,
    })
}

fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(unexpected)
}

fn unexpected() -> StoreError {
    StoreError::Unavailable("PostgreSQL returned an unexpected result".into())
}
