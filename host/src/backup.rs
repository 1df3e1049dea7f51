//! Backs up all records of a store to one file, and restores them into another store of
//! any kind. It does not know the meaning of a record.
//!
//! The file contains password hashes and everything else in the store, but no master
//! key. It is useful only together with the master key that the store had when the
//! backup was made. It is also authenticated under that key, so that a record cannot be
//! changed unnoticed without it.

mod format;
mod restore;

use std::io::{self, Read, Write};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::format::{Header, Reader, Writer};
use self::restore::Restore;
use crate::keys::error::UnlockError;
use crate::keys::master_key::MasterKey;
use crate::keys::records::{KEY_CHECK, Lock, RESTORING};
use crate::keys::store_keys::StoreKeys;
use crate::store::{Record, Store, StoreError};

/// Number of pages that are read or written ahead.
const AHEAD: usize = 4;

/// Progress of a backup or restore, and the total at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of records.
    pub records: u64,
    /// Number of bytes in the file.
    pub bytes: u64,
}

/// Errors of backups and restores.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file does not begin as a backup does.
    #[error("it is not a backup of this program")]
    Foreign,
    /// The file was written by a later version.
    #[error(
        "it has version {0}, but this program supports version {version}: use the newer program \
         that wrote it",
        version = format::VERSION
    )]
    Newer(u32),
    /// The file is truncated.
    #[error("it is cut off after {0} bytes: take another copy of it, or another backup")]
    Truncated(u64),
    /// The file was modified after it was written.
    #[error(
        "it is damaged or was modified, at about byte {0}: take another copy of it, \
         or another backup"
    )]
    Damaged(u64),
    /// The master key is not the one of the backup.
    #[error(
        "it was made under another master key: use the one that the database had at that time, \
         even if the key was rotated since; name it with `--master-key-file FILE` or \
         USER_AUTH_MASTER_KEY"
    )]
    OtherKey,
    /// The store is not empty, and replacing its contents was not requested.
    #[error(
        "the database is not empty: restore into another, or add `--replace`, which deletes \
         everything in it"
    )]
    NotEmpty,
    /// An earlier restore was interrupted, or is still running.
    #[error(
        "a backup is being restored into this database, or a restore was interrupted: add \
         `--replace` to start again"
    )]
    Unfinished,
    /// Another restore has begun since.
    #[error("another restore into this database has begun, which ended this one")]
    Overtaken,
    /// The store does not contain the restored records.
    #[error(
        "the database does not match the backup, because another process wrote to it: stop all \
         processes that use it, and restore again with `--replace`; until then it cannot be opened"
    )]
    Disturbed,
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store reported an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes all records of a store as of this moment; other processes may keep using it.
/// `keys` are the keys of the store. `report` receives the progress after each page.
/// Returns `out` after everything was written and flushed.
///
/// If the future is dropped, writing stops, and the file cannot be restored.
pub async fn backup<W: Write + Send + 'static>(
    store: &dyn Store,
    keys: &StoreKeys,
    out: W,
    mut report: impl FnMut(Extent),
) -> Result<(W, Extent), BackupError> {
    let header = Header::of(store).await?;
    let check = header.check().to_vec();
    let mut snapshot = store.snapshot().await?;
    let (pages, mut to_write) = mpsc::channel::<Vec<Record>>(AHEAD);
    let (written, mut progress) = mpsc::unbounded_channel();
    let keys = keys.clone();
    let writing = spawn_blocking(move || {
        let mut writer = Writer::begin(out, &header, &keys)?;
        while let Some(page) = to_write.blocking_recv() {
            if page.is_empty() {
                return writer.finish();
            }
            writer.page(&page)?;
            // The receiver may have gone.
            let _ = written.send(writer.extent());
        }
        Err(io::ErrorKind::Interrupted.into())
    });
    loop {
        let page = snapshot.page().await?;
        for record in &page {
            match record.key.as_str() {
                // A restore has replaced the store between the header and this page.
                RESTORING => return Err(BackupError::Unfinished),
                KEY_CHECK if record.value != check => return Err(BackupError::Overtaken),
                _ => {}
            }
        }
        let is_last = page.is_empty();
        // If the receiver has gone, the reason is in the result.
        if pages.send(page).await.is_err() || is_last {
            break;
        }
        while let Ok(extent) = progress.try_recv() {
            report(extent);
        }
    }
    let (out, extent) = writing.await.map_err(io::Error::other)??;
    report(extent);
    Ok((out, extent))
}

/// Reads a backup to its end. `Ok` means that it is complete and that this is its
/// master key.
pub fn check(
    input: impl Read,
    master: &MasterKey,
    mut report: impl FnMut(Extent),
) -> Result<Extent, BackupError> {
    let mut reader = Reader::open(input, master)?;
    while !reader.page()?.is_empty() {
        report(reader.extent());
    }
    Ok(reader.extent())
}

/// Writes the records of a backup into a store that is empty or, with `replace`,
/// emptied first. The store cannot be opened until all records have been written and
/// compared.
///
/// If the future is dropped, the store accepts another restore.
pub async fn restore<R: Read + Send + 'static>(
    input: R,
    master: &MasterKey,
    store: &dyn Store,
    replace: bool,
    mut report: impl FnMut(Extent),
) -> Result<Extent, BackupError> {
    let (pages, mut read) = mpsc::channel(AHEAD);
    let master = master.clone();
    spawn_blocking(move || {
        if let Err(error) = read_pages(input, &master, &pages) {
            let _ = pages.blocking_send(Err(error));
        }
    });
    let cut_off = || BackupError::Truncated(0);
    let Part::Lock(lock) = read.recv().await.ok_or_else(cut_off)?? else {
        return Err(cut_off());
    };
    let mut restore = Restore::begin(store, lock, replace).await?;
    loop {
        match read.recv().await.ok_or_else(cut_off)?? {
            Part::Page(page, extent) => {
                restore.load(page).await?;
                report(extent);
            }
            Part::End(extent) => {
                restore.finish().await?;
                return Ok(extent);
            }
            Part::Lock(_) => return Err(cut_off()),
        }
    }
}

/// The parts of a backup, in the order in which they are read.
enum Part {
    Lock(Lock),
    Page(Vec<Record>, Extent),
    /// The end, after everything has been verified.
    End(Extent),
}

/// Reads to the end, or until the receiver has gone.
fn read_pages(
    input: impl Read,
    master: &MasterKey,
    pages: &mpsc::Sender<Result<Part, BackupError>>,
) -> Result<(), BackupError> {
    let mut reader = Reader::open(input, master)?;
    let mut part = Part::Lock(reader.lock().clone());
    loop {
        let is_last = matches!(part, Part::End(_));
        if pages.blocking_send(Ok(part)).is_err() || is_last {
            return Ok(());
        }
        let page = reader.page()?;
        part = if page.is_empty() {
            Part::End(reader.extent())
        } else {
            Part::Page(page, reader.extent())
        };
    }
}

impl From<UnlockError> for BackupError {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::Store(error) => Self::Store(error),
            UnlockError::Restoring => Self::Unfinished,
            _ => Self::OtherKey,
        }
    }
}

#[cfg(test)]
mod tests;
