//! Files that decide what is run, that hold secrets, or that are written to: who else
//! has a hand in them.
//!
//! What is asked is asked of the file that is open, and what is read is read through
//! that same handle: a name may lead to another file a moment later. Links are
//! followed where a file is read, since secrets are mounted by links; what counts is
//! the file at their end.
//!
//! Systems that do not say who owns a file are not asked.

mod leftovers;
mod output;
mod trust;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use leftovers::Temporary;
pub(crate) use leftovers::sweep;
pub use output::{Existing, open_output};
#[cfg(unix)]
pub(crate) use trust::own_id;
pub(crate) use trust::refuse_exposed_database;

/// No text that is configured is longer; a path given by mistake may lead to anything.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// What others must not be able to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// To write it: it says what is run, or whom to trust.
    Trusted,
    /// To read it either. The group may read what belongs to root, as mounted secrets
    /// do.
    Secret,
    /// The same for a file that the service manager has handed over (`LoadCredential=`
    /// of systemd): where access is given by an access control list, the bits of the
    /// group show the mask of that list.
    Credential,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, read or written.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It belongs to another user, who could change it at any time.
    #[error(
        "{0} belongs to user {owner}, who could change it at any time: it has to belong to root or \
         to user {expected}, which runs this program; run `chown {expected} {0}` after a look at \
         what it holds, or run the program as user {owner}",
        path.display()
    )]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it may be, besides root's.
        expected: u32,
    },
    /// Others than its owner may write it.
    #[error(
        "{0} may be written by others than its owner (mode {mode:03o}); run `chmod go-w {0}` after \
         a look at what it holds",
        path.display()
    )]
    Writable {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others than its owner may read or write a secret.
    #[error(
        "{0} may be read by others than its owner (mode {mode:03o}); run `chmod 600 {0}`, and \
         replace what it holds if others may have seen it",
        path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The name is a link that another user made.
    #[error(
        "{} is a link that user {owner} made, who could have it lead to any file: name the file \
         itself",
        path.display()
    )]
    ForeignLink {
        /// Which name.
        path: PathBuf,
        /// Whose link it is.
        owner: u32,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens a regular file that others have no hand in.
pub fn open(path: &Path, guard: Guard) -> Result<File, FileError> {
    open_any(path, guard, Kinds::File)
}

/// Reads all of a file that others have no hand in, of no more than `limit` bytes.
pub fn read(path: &Path, guard: Guard, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_all(open(path, guard)?, path, limit)
}

/// Reads a text that others have no hand in, of a file or a pipe of one's own, such
/// as shells make of `<(command)`.
pub fn read_text(path: &Path, guard: Guard) -> Result<Zeroizing<String>, FileError> {
    let file = open_any(path, guard, Kinds::FileOrPipe)?;
    let bytes = read_all(file, path, MAX_TEXT_BYTES)?;
    match str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            let reason = "it is not text in UTF-8";
            Err(FileError::io(path, io::Error::other(reason)))
        }
    }
}

/// What may be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    File,
    FileOrPipe,
}

fn open_any(path: &Path, guard: Guard, kinds: Kinds) -> Result<File, FileError> {
    let problem = |source| FileError::io(path, source);
    let mut options = OpenOptions::new();
    options.read(true);
    // Opening a pipe would wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, trust::NONBLOCKING);
    let file = options.open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    if !metadata.is_file() && (kinds == Kinds::File || !is_pipe(&metadata)) {
        return Err(no_regular_file(path));
    }
    trust::refuse(path, &metadata, guard)?;
    #[cfg(unix)]
    trust::block_again(&file).map_err(problem)?;
    Ok(file)
}

fn read_all(file: File, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let problem = |source| FileError::io(path, source);
    let mut bytes = Zeroizing::new(Vec::new());
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    if read.map_err(problem)? as u64 > limit {
        let reason = format!("it has more than {limit} bytes");
        return Err(problem(io::Error::other(reason)));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(metadata: &Metadata) -> bool {
    !metadata.is_dir()
}

fn no_regular_file(path: &Path) -> FileError {
    FileError::io(path, io::Error::other("it is no regular file"))
}

#[cfg(all(test, unix))]
mod tests;
