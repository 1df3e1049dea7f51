//! Checks the permissions of files that decide what is executed, contain secrets, or
//! are written to. It does not know the meaning of their contents.
//!
//! The checks apply to the open file, and the content is read through the same handle:
//! a name may lead to another file a moment later. Links are followed for reading,
//! since secrets are mounted as links; the checks apply to their target.
//!
//! Systems that do not report the owner of a file are not checked.

mod leftovers;
mod output;
mod trust;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memmap2::{MmapMut, MmapOptions};
use zeroize::Zeroizing;

use crate::encoding;

pub use leftovers::Temporary;
pub(crate) use leftovers::sweep;
pub use output::{Existing, open_output};
#[cfg(unix)]
pub(crate) use trust::own_id;
pub(crate) use trust::refuse_exposed_database;

/// Maximum size of configured text; a path given by mistake may lead to anything.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// The access to a file that other users must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Other users must not write: the file says what is executed, or who is trusted.
    Trusted,
    /// Other users must not read or write. The group may read a file of root's, as for
    /// mounted secrets.
    Secret,
    /// The same for a file that the service manager passed on (`LoadCredential=` of
    /// systemd): if access is granted by an access control list, the group bits show
    /// the mask of that list.
    Credential,
}

/// Reasons why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened, read or written.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file belongs to another user, who could change it at any time.
    #[error(
        "{0} belongs to user {owner}, who could change it at any time, but it must belong to root \
         or to user {expected}, which runs this program: check its content, then run `chown \
         {expected} {0}`, or run the program as user {owner}",
        path.display()
    )]
    Owner {
        /// Path of the file.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
        /// User id of the expected owner, besides root.
        expected: u32,
    },
    /// Users other than the owner may write the file.
    #[error(
        "{0} may be written by users other than its owner (mode {mode:03o}): check its content, \
         then run `chmod go-w {0}`",
        path.display()
    )]
    Writable {
        /// Path of the file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Users other than the owner may read or write a secret.
    #[error(
        "{0} may be read by users other than its owner (mode {mode:03o}): run `chmod 600 {0}`, and \
         replace the secret if others may have seen it",
        path.display()
    )]
    Exposed {
        /// Path of the file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The name is a link that another user created.
    #[error(
        "{} is a link created by user {owner}, who could point it to any file: name the file \
         itself",
        path.display()
    )]
    ForeignLink {
        /// Path of the link.
        path: PathBuf,
        /// User id of its owner.
        owner: u32,
    },
}

/// Reads a large file of this size, which is not 0, into memory of its own. The system has
/// that memory back once it is dropped; the allocator would keep it.
pub(crate) fn read_large(mut file: &File, size: usize) -> io::Result<MmapMut> {
    // All its pages at once: to add them one by one takes as long as to read the file.
    let mut bytes = MmapOptions::new().len(size).populate().map_anon()?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Returns whether the file does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens a regular file that other users cannot access beyond the guard.
pub fn open(path: &Path, guard: Guard) -> Result<File, FileError> {
    open_any(path, guard, Kinds::File)
}

/// Reads a whole file of at most `limit` bytes that other users cannot access beyond
/// the guard.
pub fn read(path: &Path, guard: Guard, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_all(open(path, guard)?, path, limit)
}

/// Reads text from a file that other users cannot access beyond the guard, or from a
/// pipe of this user, such as shells create for `<(command)`.
pub fn read_text(path: &Path, guard: Guard) -> Result<Zeroizing<String>, FileError> {
    let file = open_any(path, guard, Kinds::FileOrPipe)?;
    let from_pipe = file.metadata().is_ok_and(|metadata| is_pipe(&metadata));
    let bytes = read_all(file, path, MAX_TEXT_BYTES)?;
    // Before there is a writer a pipe reads as if it were empty: a configuration would
    // be taken for one that sets nothing.
    if from_pipe && bytes.is_empty() {
        let reason = "it is a pipe from which nothing came; start what writes to it first";
        return Err(FileError::io(path, io::Error::other(reason)));
    }
    match encoding::text(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(reason) => {
            let reason = format!("it {reason}");
            Err(FileError::io(path, io::Error::other(reason)))
        }
    }
}

/// The kinds of files that may be opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    File,
    FileOrPipe,
}

fn open_any(path: &Path, guard: Guard, kinds: Kinds) -> Result<File, FileError> {
    let problem = |source| FileError::io(path, source);
    let mut options = OpenOptions::new();
    options.read(true);
    // Opening a pipe would otherwise wait for a writer.
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
    FileError::io(path, io::Error::other("it is not a regular file"))
}

#[cfg(all(test, unix))]
mod tests;
