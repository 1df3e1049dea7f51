//! Records in PostgreSQL: for several processes on several machines.
//!
//! - Every call is one call of one of the functions in
//!   `migrations/0001_records.sql`: one round trip, one transaction. They are sent
//!   as unnamed statements, and their plans are kept by the server's session, so
//!   that nothing is lost by it, and a pooler may give each transaction another
//!   session.
//! - A commit first takes a lock for each of its keys, in one order for everybody,
//!   then judges what it expects, then writes. A lock on the key and not on the row:
//!   of two who expect that there is no record, neither would find a row to lock.
//!   Serializable transactions would do it too, but let those who contend for an
//!   account fail and begin anew, where here they wait some milliseconds.
//! - The time by which records expire is that of the server, which is one for all
//!   processes. Their own clocks may differ, and jump.

mod connections;
mod schema;
mod snapshot;
mod tls;
mod url;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

pub use self::url::{PostgresUrl, PostgresUrlError};

use self::connections::{Connections, Parameter, parameter};
use self::snapshot::Reading;
use super::clock::{self, Clock, Millis};
use super::{Entry, Expect, Mutation, Outcome, Page, Snapshot, Store, StoreError, checks};

/// A store that keeps its records in the schema `user_auth` of a PostgreSQL
/// database, of version 13 or later.
///
/// Work that was handed to the server is finished although its caller may have
/// gone. A server that is away is found again by the next call after it is back.
pub struct PostgresStore {
    connections: Connections,
    /// `None`: that of the server.
    clock: Option<Clock>,
}

impl PostgresStore {
    /// Connects, and creates the schema or brings it up to date.
    pub async fn open(url: &PostgresUrl) -> Result<Self, StoreError> {
        Self::start(url, None).await
    }

    /// Like [`PostgresStore::open`], with `clock` to ask for the time.
    #[doc(hidden)]
    pub async fn with_clock(url: &PostgresUrl, clock: Clock) -> Result<Self, StoreError> {
        Self::start(url, Some(clock)).await
    }

    async fn start(url: &PostgresUrl, clock: Option<Clock>) -> Result<Self, StoreError> {
        let connections = Connections::new(url)?;
        schema::install(&connections).await.map_err(|reason| {
            StoreError::Unavailable(format!("cannot open the database {url}: {reason}"))
        })?;
        Ok(Self { connections, clock })
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
        keys.iter().try_for_each(|key| checks::key(key))?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = parameter(keys.to_vec(), Type::TEXT_ARRAY);
        let rows = self
            .connections
            .call(
                "SELECT key, value, version FROM user_auth.get($1, $2)",
                vec![wanted, self.now()],
            )
            .await?;
        let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let by_key: HashMap<&str, &Entry> = entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry))
            .collect();
        Ok(keys
            .iter()
            .map(|key| by_key.get(key.as_str()).copied().cloned())
            .collect())
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
        let len = checks::page_len(limit);
        // One more than the page holds, to know whether another follows.
        let at_most = i64::from(len) + 1;
        let rows = self
            .connections
            .call(
                "SELECT key, value, version FROM user_auth.scan($1, $2, $3, $4)",
                vec![
                    parameter(range.start, Type::TEXT),
                    parameter(range.end, Type::TEXT),
                    parameter(at_most, Type::INT8),
                    self.now(),
                ],
            )
            .await?;
        let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(checks::page(entries, len))
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
        // No more than `limit`, so this never saturates.
        Ok(u32::try_from(purged).unwrap_or(u32::MAX))
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let given_now_ms = self.clock.as_ref().map(clock::now_ms);
        let reading = Reading::begin(&self.connections, given_now_ms).await?;
        Ok(Box::new(reading))
    }
}

/// What the functions take for an expectation.
fn expectation(expect: Expect) -> Option<String> {
    match expect {
        Expect::Any => None,
        Expect::Absent => Some("absent".to_owned()),
        // PostgreSQL has no text with NUL in it, and no version has one.
        Expect::At(version) => Some(format!("at {}", version.replace('\0', "?"))),
    }
}

/// A life so long that its end could not be counted is one for good.
fn ttl_ms(ttl: Duration) -> Option<Millis> {
    Millis::try_from(ttl.as_millis())
        .ok()
        .filter(|ttl_ms| *ttl_ms < Millis::MAX / 2)
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    Ok(Entry {
        key: row.try_get(0)?,
        value: row.try_get(1)?,
        version: row.try_get(2)?,
    })
}

fn only(rows: &[Row]) -> Result<&Row, StoreError> {
    rows.first().ok_or_else(unexpected)
}

fn unexpected() -> StoreError {
    StoreError::Unavailable("PostgreSQL answered something unexpected".into())
}
