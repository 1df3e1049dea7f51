//! The schema: how it is created, recognised and migrated.
//!
//! To change it, add a file to `migrations/` and a line to [`MIGRATIONS`]; never change
//! a released file. Processes of the previous version keep running while the first of
//! the next one starts, so the functions that they call must stay as well.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{IsolationLevel, Transaction};

use super::connections::Connections;
use crate::store::StoreError;

/// A step from one version of the schema to the next.
struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// All steps in order; the first one creates version 1.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_records",
    sql: include_str!("migrations/0001_records.sql"),
}];

/// The first version with built-in random UUIDs, as `server_version_num` counts.
const OLDEST_SERVER: i32 = 13_00_00;

/// How long to wait for another process that creates the schema, and then for its
/// creation.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Reasons why a database could not be opened; the caller adds which one.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the server is PostgreSQL {0}, but UserAuth needs 13 or later")]
    OldServer(String),
    #[error("its schema `user_auth` belongs to another program")]
    Foreign,
    #[error(
        "its schema `user_auth` belongs to another role, which could change it: make the role in \
          the URL its owner"
    )]
    OtherOwner,
    #[error(
        "its schema has version {0}, but this program supports only versions up to {known}: \
         run the newer program that wrote it",
        known = MIGRATIONS.len()
    )]
    Newer(i32),
    #[error("another process has been changing its schema for {} s", MIGRATION_TIMEOUT.as_secs())]
    Busy,
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Creates the schema, migrates it, or recognises it.
pub(super) async fn install(connections: &Connections) -> Result<(), OpenError> {
    timeout(MIGRATION_TIMEOUT, migrate(connections))
        .await
        .map_err(|_| OpenError::Busy)??;
    // Reports at startup an error that would make every commit fail.
    let nothing = "SELECT user_auth.lock_keys('{}')";
    connections.call(nothing, Vec::new()).await?;
    Ok(())
}

async fn migrate(connections: &Connections) -> Result<(), OpenError> {
    let mut connection = connections.connection().await?;
    // One transaction: no other process sees a partial migration, and a pooler keeps it
    // on one session. Each statement must see everything committed while it waited.
    let transaction = connection
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .start()
        .await?;
    // The lock number of `lock_keys`, with a set of keys that does not exist.
    transaction
        .batch_execute(
            "SET LOCAL search_path = pg_catalog, pg_temp;
             SELECT pg_advisory_xact_lock(1430353268, -1)",
        )
        .await?;
    require_server(&transaction).await?;
    let version = version(&transaction).await?;
    let known = MIGRATIONS.iter().zip(1..);
    for (migration, number) in known.filter(|(_, number)| *number > version) {
        tracing::info!(migration = migration.name, "migrating the database schema");
        transaction.batch_execute(migration.sql).await?;
        let record = format!(
            "INSERT INTO user_auth.migrations (number, name) VALUES ({number}, '{}')",
            migration.name
        );
        transaction.batch_execute(&record).await?;
    }
    Ok(transaction.commit().await?)
}

async fn require_server(transaction: &Transaction<'_>) -> Result<(), OpenError> {
    let versions = "SELECT current_setting('server_version_num')::int4,
                           current_setting('server_version')";
    let row = transaction.query_typed_one(versions, &[]).await?;
    if row.try_get::<_, i32>(0)? < OLDEST_SERVER {
        Err(OpenError::OldServer(row.try_get(1)?))
    } else {
        Ok(())
    }
}

/// Returns the version of the schema, or 0 after creating an empty one.
async fn version(transaction: &Transaction<'_>) -> Result<i32, OpenError> {
    let found = "SELECT to_regnamespace('user_auth') IS NOT NULL,
                        to_regclass('user_auth.migrations') IS NOT NULL,
                        EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('user_auth')),
                        EXISTS (SELECT FROM pg_namespace WHERE oid = to_regnamespace('user_auth')
                                AND nspowner <> current_user::regrole)";
    let row = transaction.query_typed_one(found, &[]).await?;
    if row.try_get(3)? {
        return Err(OpenError::OtherOwner);
    }
    if row.try_get(1)? {
        return applied(transaction).await;
    }
    if row.try_get(2)? {
        return Err(OpenError::Foreign);
    }
    if !row.try_get::<_, bool>(0)? {
        transaction.batch_execute("CREATE SCHEMA user_auth").await?;
    }
    transaction
        .batch_execute(
            "CREATE TABLE user_auth.migrations (
                 number integer PRIMARY KEY,
                 name text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    Ok(0)
}

async fn applied(transaction: &Transaction<'_>) -> Result<i32, OpenError> {
    let ours = "SELECT count(*) = 3 FROM information_schema.columns
                WHERE table_schema = 'user_auth' AND table_name = 'migrations'
                  AND column_name IN ('number', 'name', 'applied_at')";
    if !transaction.query_typed_one(ours, &[]).await?.try_get(0)? {
        return Err(OpenError::Foreign);
    }
    let newest = "SELECT number, (SELECT name FROM user_auth.migrations WHERE number = 1)
                  FROM user_auth.migrations ORDER BY number DESC LIMIT 1";
    let Some(row) = transaction.query_typed_opt(newest, &[]).await? else {
        return Err(OpenError::Foreign);
    };
    let first: Option<&str> = row.try_get(1)?;
    if first != MIGRATIONS.first().map(|migration| migration.name) {
        return Err(OpenError::Foreign);
    }
    let version: i32 = row.try_get(0)?;
    if usize::try_from(version).is_ok_and(|version| version <= MIGRATIONS.len()) {
        Ok(version)
    } else {
        Err(OpenError::Newer(version))
    }
}
