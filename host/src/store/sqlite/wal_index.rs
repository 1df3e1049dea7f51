//! The header of the index of the write-ahead log, which changes with every commit of any
//! process. Reading it takes no lock, so it is the quickest way to learn that nothing has
//! changed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Size of one of the two copies of the header (<https://sqlite.org/walformat.html>,
/// section 2.1).
const COPY_BYTES: usize = 48;

/// The header of the index. It names the last commit by its place in the log, a counter,
/// and a checksum over the log up to it, so two equal headers mean equal contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header([u8; COPY_BYTES]);

/// The index file of a database, `-shm`.
pub(super) struct WalIndex {
    file: &'static File,
}

impl WalIndex {
    /// Opens the index of this database, of which a connection is open and stays open: as
    /// long as there is one, no process replaces the file.
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        let file = open::shared(&PathBuf::from(path))?;
        Ok(Self { file })
    }

    /// Returns the header, or `None` while a commit is writing it. A commit writes it
    /// before its caller learns of it.
    pub(super) fn header(&self) -> Option<Header> {
        let mut copies = [0; 2 * COPY_BYTES];
        open::read_start(self.file, &mut copies).ok()?;
        let (one, other) = copies.split_at(COPY_BYTES);
        if one != other {
            return None;
        }
        one.try_into().ok().map(Header)
    }
}

#[cfg(unix)]
mod open {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::io;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    /// The index files that this process has opened, by device and inode.
    static OPENED: Mutex<BTreeMap<(u64, u64), &'static File>> = Mutex::new(BTreeMap::new());

    /// Opens a file for the rest of the process: closing it would drop all locks that
    /// SQLite holds on it, because locks belong to the process (fcntl(2), "Record locks").
    /// A file that is opened again is opened only once.
    pub(super) fn shared(path: &Path) -> io::Result<&'static File> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let found = fs::metadata(path)?;
        if let Some(file) = opened.get(&(found.dev(), found.ino())) {
            return Ok(file);
        }
        let file: &File = Box::leak(Box::new(File::open(path)?));
        let found = file.metadata()?;
        Ok(opened.entry((found.dev(), found.ino())).or_insert(file))
    }

    pub(super) fn read_start(file: &File, into: &mut [u8]) -> io::Result<()> {
        file.read_exact_at(into, 0)
    }
}

#[cfg(not(unix))]
mod open {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// Opens nothing: without device and inode, a file that is open already cannot be
    /// recognised.
    pub(super) fn shared(_path: &Path) -> io::Result<&'static File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn read_start(_file: &File, _into: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
