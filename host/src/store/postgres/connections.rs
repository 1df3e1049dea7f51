//! The connections to the server, with their timeouts.

use std::error::Error;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, tls::NoTls};

use super::tls;
use super::url::PostgresUrl;
use crate::store::StoreError;

/// How long to wait for a connection while all are busy.
const POOL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for the result of a call. The functions give up waiting for a lock
/// earlier, after two seconds.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A value and its SQL type.
pub(super) type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

pub(super) fn parameter(value: impl ToSql + Send + Sync + 'static, sql_type: Type) -> Parameter {
    (Box::new(value), sql_type)
}

/// A pool of connections.
pub(super) struct Connections {
    pool: Pool,
}

impl Connections {
    /// Sets up the pool without connecting.
    pub(super) fn new(url: &PostgresUrl) -> Result<Self, StoreError> {
        let config = url.config().clone();
        // A dead connection is detected when a call on it fails; asking the server
        // before each call would cost a round trip for nothing.
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match tls::connector(url.tls()).map_err(StoreError::Unavailable)? {
            Some(connector) => Manager::from_config(config, connector, recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        let pool = Pool::builder(manager)
            .max_size(url.pool_size())
            .wait_timeout(Some(POOL_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool })
    }

    /// Returns a connection for exclusive use.
    pub(super) async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => StoreError::Busy(format!(
                "all {} connections to PostgreSQL are busy",
                self.pool.status().max_size
            )),
            PoolError::Timeout(_) => {
                StoreError::Unavailable("PostgreSQL did not accept a connection in time".into())
            }
            PoolError::Backend(error) => error.into(),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    /// Sends one statement and returns its rows.
    pub(super) async fn call(
        &self,
        statement: &'static str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection().await?;
        // A task of its own: if the caller went away, the connection would still be
        // busy, and its next user would have to wait.
        let call = tokio::spawn(answer(connection, statement, parameters));
        call.await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the call was aborted".into())))
    }
}

/// Sends one statement over `connection` and returns its rows. Not to be cancelled: see
/// [`Connections::call`].
pub(super) async fn answer(
    connection: Object,
    statement: &'static str,
    parameters: Vec<Parameter>,
) -> Result<Vec<Row>, StoreError> {
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = parameters
        .iter()
        .map(|(value, sql_type)| (&**value as &(dyn ToSql + Sync), sql_type.clone()))
        .collect();
    let error = match timeout(CALL_TIMEOUT, connection.query_typed(statement, &parameters)).await {
        Ok(Ok(rows)) => return Ok(rows),
        Ok(Err(error)) => error.into(),
        Err(_) => StoreError::Unavailable("PostgreSQL did not respond in time".into()),
    };
    // A connection that has failed is not used again.
    drop(Object::take(connection));
    Err(error)
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Unavailable(with_causes(&error));
        };
        let hint = said.hint().map(|hint| format!(" ({hint})"));
        // Leaves out the details, which may quote a record.
        Self::Unavailable(format!(
            "PostgreSQL: {} [{}]{}",
            said.message(),
            said.code().code(),
            hint.unwrap_or_default()
        ))
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
