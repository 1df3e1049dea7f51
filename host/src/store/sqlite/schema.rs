//! The database file: how it is created, recognised and opened.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tracing::{debug, info};

use super::wal_index::WalIndex;
use crate::files::{FileError, refuse_exposed_database};
use crate::store::StoreError;

/// `PRAGMA application_id`, which marks a file as ours: "UAut" in ASCII.
const APPLICATION_ID: i32 = 0x5541_7574;
/// `PRAGMA user_version`, the schema version that this program understands. Raise it
/// with every change of [`SCHEMA`], and migrate older files.
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE entries (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        expires_at_ms INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX entries_by_expiry ON entries (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

    -- One row: the version that was given out last. It outlives the entries, so
    -- that a key that is deleted and written again never shows an old version.
    CREATE TABLE versions (last INTEGER NOT NULL);
    INSERT INTO versions VALUES (0);
";

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Page cache of the writer; negative because SQLite counts KiB that way. The keys of
/// many new accounts are spread over the whole file; with SQLite's default of 2 MiB the
/// writer would read and write the same pages again and again.
const WRITER_CACHE_KIB: i32 = -16 * 1024;
/// Length of the write-ahead log, in pages of 4 KiB, at which it is folded into the
/// file. All writes to one page until then are folded in once.
const CHECKPOINT_PAGES: i32 = 4096;

/// A database with the schema that this program understands.
pub(super) struct Database {
    path: PathBuf,
}

impl Database {
    /// Opens or creates the database, and returns it with the connection for writing.
    pub(super) fn open(path: &Path) -> Result<(Self, Connection), StoreError> {
        Self::prepare(path).map_err(|reason| {
            StoreError::Unavailable(format!(
                "cannot open the database {}: {reason}{}",
                path.display(),
                reason.remedy()
            ))
        })
    }

    /// Opens another connection, for reading only.
    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        // No `mmap_size`: measurements showed no faster reads, and a disk error would
        // become a signal that kills the process instead of an error.
        connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens a first connection for reading, and the index of the log, which exists once
    /// something has been read. Neither is required: readers are opened when needed, and
    /// without the index nothing is cached.
    pub(super) fn index(&self) -> (Option<Connection>, Option<WalIndex>) {
        let opened = self.reader().and_then(|reader| {
            reader.query_row("SELECT last FROM versions", [], |_| Ok(()))?;
            Ok(reader)
        });
        let index = WalIndex::open(&self.path)
            .inspect_err(|error| debug!(%error, "records are not cached"))
            .ok();
        (opened.ok(), index)
    }

    fn prepare(path: &Path) -> Result<(Self, Connection), OpenError> {
        // Absolute, because readers are opened later, perhaps from another folder, and
        // because SQLite treats a bare `:memory:` specially.
        let path = std::path::absolute(path)?;
        refuse_exposed_database(&path)?;
        create_private(&path)?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // With the log, writing the schema waits for the disk fewer times. A file with content
        // stays as it is until it is known to be ours.
        if path.metadata()?.len() == 0 {
            switch_to_wal(&connection)?;
        }
        if install_schema(&mut connection)? {
            // A misspelt path is noticed by this line alone.
            info!(path = %path.display(), "created a new database");
        }
        switch_to_wal(&connection)?;
        connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok((Self { path }, connection))
    }
}

/// Reasons why a database could not be opened; the caller adds which one.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Exposed(#[from] FileError),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("it belongs to another program")]
    Foreign,
    #[error(
        "it has schema version {0}, but this program supports only versions up to {SCHEMA_VERSION}: \
         run the newer program that wrote it"
    )]
    Newer(i32),
}

impl OpenError {
    /// Returns what to do, for errors whose text does not say it.
    fn remedy(&self) -> &'static str {
        let Self::Sqlite(error) = self else {
            return "";
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                "; the user who runs the program needs write permission for the file and its folder"
            }
            _ => "",
        }
    }
}

/// Creates the file for its owner only, unless it exists; `-wal` and `-shm` inherit its
/// mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Never opens an existing file: closing a file drops all locks that this process
    // holds on it, including those of another store on the same file.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // No mutex: only one thread uses a connection at a time.
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Writes the schema into an empty database, or recognises an existing one. Returns
/// whether the database is new.
fn install_schema(connection: &mut Connection) -> Result<bool, OpenError> {
    // Immediate: if several processes find an empty file, one of them writes.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let objects: u32 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (pragma("application_id")?, pragma("user_version")?, objects) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(false),
        (APPLICATION_ID, version, _) => Err(OpenError::Newer(version)),
        (0, 0, 0) => {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
            Ok(true)
        }
        _ => Err(OpenError::Foreign),
    }
}

/// Lets readers and the writer run concurrently, across processes too.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        // SQLite does not apply the busy timeout to this switch when another process
        // attempts it at the same moment, so the waiting is done here.
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_database_that_cannot_be_written_is_reported_with_the_remedy() {
        let error = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::from(error).remedy()
        };
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_CANTOPEN] {
            assert!(error(code).contains("write permission"), "{code}");
        }
        assert_eq!(error(ffi::SQLITE_BUSY), "");
        assert_eq!(OpenError::Foreign.remedy(), "");
    }
}
