//! All records of a store in one file, and from there into another store, of
//! whatever kind.
//!
//! The file holds password hashes and all else that the store does, and no master
//! key. It is good only together with the master key that the store had when the
//! backup was made; under that key it is sealed as well, so that nobody without
//! the key can change a record in it unnoticed.

mod format;
mod restore;

use std::io::{self, Read, Write};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::format::{Header, Reader, Writer};
use self::restore::Restore;
use crate::claim::{ClaimError, KEY_CHECK, Lock, RESTORING};
use crate::keys::Keys;
use crate::store::{Record, Store, StoreError};

/// Pages that are read or written ahead.
const AHEAD: usize = 4;

/// How far a backup or a restore is, and at its end how much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Records.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why there is no backup, or why one was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file begins otherwise than a backup does.
    #[error("it is no backup of this program")]
    Foreign,
    /// The file was written by a later version.
    #[error(
        "it has version {0}, and this program knows version {version}: use the newer program \
         that wrote it",
        version = format::VERSION
    )]
    Newer(u32),
    /// The file ends too early.
    #[error("it is cut off after {0} bytes: take another copy of it, or another backup")]
    Truncated(u64),
    /// The file is not as it was written.
    #[error(
        "it is damaged, or was changed by somebody, at about byte {0}: take another copy of it, \
         or another backup"
    )]
    Damaged(u64),
    /// The master key is not that of the backup.
    #[error(
        "it was made under another master key: it takes the one that the database had at that \
         time, also if the key was rotated since; name it with `--master-key-file FILE` or \
         USER_AUTH_MASTER_KEY"
    )]
    OtherKey,
    /// The store is not empty, and nobody said that what it holds may go.
    #[error(
        "the database is not empty: restore into another, or add `--replace`, which deletes all \
         that it holds"
    )]
    NotEmpty,
    /// An earlier restore was broken off, or is under way.
    #[error(
        "a backup is being restored into this database, or a restore was broken off: add \
         `--replace` to begin anew"
    )]
    Unfinished,
    /// Another restore has begun since.
    #[error("another restore into this database has begun: this one has ended")]
    Overtaken,
    /// What the store holds is not what was restored.
    #[error(
        "the database does not hold what was restored, because another process wrote to it: stop \
         all that use it, and restore again with `--replace`; until then it cannot be opened"
    )]
    Disturbed,
    /// The file could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store could not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes all records of a store as they are at this moment; others may go on to
/// use it. `keys` are those that [`Keys::claim`] gave. `report` is told how far it
/// is, page by page. Gives `out` back, to which all was written and flushed.
///
/// Dropped before its end, it writes no more, and the file cannot be restored.
pub async fn backup<W: Write + Send + 'static>(
    store: &dyn Store,
    keys: &Keys,
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
            // Nobody may be left to hear it.
            let _ = written.send(writer.extent());
        }
        Err(io::ErrorKind::Interrupted.into())
    });
    loop {
        let page = snapshot.page().await?;
        for record in &page {
            match record.key.as_str() {
                // Another one was put into its place between the header and this.
                RESTORING => return Err(BackupError::Unfinished),
                KEY_CHECK if record.value != check => return Err(BackupError::Overtaken),
                _ => {}
            }
        }
        let is_last = page.is_empty();
        // Without somebody to take it, the reason is in the result.
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

/// Reads a backup to its end: `Ok` says that it is whole, and this the master key
/// for it.
pub fn check(
    input: impl Read,
    master: &Keys,
    mut report: impl FnMut(Extent),
) -> Result<Extent, BackupError> {
    let mut reader = Reader::open(input, master)?;
    while !reader.page()?.is_empty() {
        report(reader.extent());
    }
    Ok(reader.extent())
}

/// Writes the records of a backup into a store that is empty, or with `replace`
/// into one that is emptied first. Until all is there and compared, the store
/// cannot be opened.
///
/// Dropped before its end, it leaves a store that takes another restore.
pub async fn restore<R: Read + Send + 'static>(
    input: R,
    master: &Keys,
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

/// What is read of a backup, in this order.
enum Part {
    Lock(Lock),
    Page(Vec<Record>, Extent),
    /// All of it is verified.
    End(Extent),
}

/// Reads until the end, or until nobody wants more.
fn read_pages(
    input: impl Read,
    master: &Keys,
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
        part = match page.is_empty() {
            true => Part::End(reader.extent()),
            false => Part::Page(page, reader.extent()),
        };
    }
}

impl From<ClaimError> for BackupError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Store(error) => Self::Store(error),
            ClaimError::Restoring => Self::Unfinished,
            _ => Self::OtherKey,
        }
    }
}

#[cfg(test)]
mod tests;
