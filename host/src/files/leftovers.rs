//! Files that have temporary names until they are complete, and the cleanup of those
//! left by killed processes.
//!
//! The writer of such a file holds a lock on it, which ends with the process. So the
//! next process that writes for the same name can tell a leftover file, however recent,
//! from one being written.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Number of hexadecimal digits between the name and [`ENDING`].
const TAG_BYTES: usize = 8;
const ENDING: &str = ".new";
/// Age at which an unfinished file counts as left over, where the file system has no
/// locks.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);
/// Number of attempts to create a file: another process may delete it as left over
/// between its creation and its lock. On a busy machine that happens several times in a row.
const MAX_ATTEMPTS: usize = 100;

/// A file being written, for its owner only, under its final name and a temporary
/// suffix. It is deleted on drop unless it was renamed.
pub struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    /// Creates the file that is to become `target`, in the same folder, and deletes the
    /// temporary files that killed processes have left there.
    pub fn create(target: &Path) -> io::Result<Self> {
        sweep(target);
        for _ in 0..MAX_ATTEMPTS {
            let path = beside(target)?;
            let mut options = OpenOptions::new();
            // Never follows a link, and never opens an existing file.
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            // A process that considers the file left over holds the lock until it is
            // deleted. Without locks, the age has to do.
            let _ = file.lock();
            if !is_deleted(&file)? {
                return Ok(Self { path, file });
            }
        }
        Err(io::Error::other("another process keeps deleting the file"))
    }

    /// Returns the path of the temporary file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Renames the file to `target`, replacing any existing file.
    pub fn replace(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.is_named(target)
    }

    /// Renames the file to `target` if that does not exist, in one step where the file
    /// system has hard links. Otherwise returns [`io::ErrorKind::AlreadyExists`].
    pub fn claim(self, target: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if target.symlink_metadata().is_ok() => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Err(_) => fs::rename(&self.path, target)?,
        }
        self.is_named(target)
    }

    /// Fails if the name leads to a file of another user, who can write to the folder
    /// and has replaced ours.
    fn is_named(&self, target: &Path) -> io::Result<()> {
        let there = target.symlink_metadata()?;
        if there.is_file() && is_ours(&there) {
            Ok(())
        } else {
            Err(io::Error::other(
                "another user, who may write to its folder, has replaced it with another file",
            ))
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Deletes the files that killed processes have left for the same name. A failure has
/// no consequences.
pub(crate) fn sweep(target: &Path) {
    let Some(name) = target.file_name() else {
        return;
    };
    let folder = target.parent().filter(|it| !it.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return;
    };
    let of_this_name = |entry: &fs::DirEntry| is_temporary_of(name, &entry.file_name());
    for entry in entries.flatten().filter(of_this_name) {
        let path = entry.path();
        // The lock is held until the file is deleted: a process that has just created
        // it waits for that.
        if let Some(_lock) = left_over(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens and locks a file of this user that no process is writing.
fn left_over(path: &Path) -> Option<File> {
    let is_file = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && is_ours(&metadata));
    if !is_file {
        return None;
    }
    let mut options = OpenOptions::new();
    // Opened for writing, because some file systems lock nothing else.
    options.write(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits() as i32;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    let file = options.open(path).ok()?;
    match file.try_lock() {
        Ok(()) => Some(file),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(_)) => {
            let written = file.metadata().ok()?.modified().ok()?;
            let is_old = written.elapsed().is_ok_and(|age| age > LEFTOVER_AGE);
            is_old.then_some(file)
        }
    }
}

/// Returns a temporary name for a file that is to become `target`.
fn beside(target: &Path) -> io::Result<PathBuf> {
    let mut tag = [0; TAG_BYTES];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(format!(".{}{ENDING}", base16ct::lower::encode_string(&tag)));
    Ok(target.with_file_name(name))
}

/// Returns whether `candidate` is a temporary name that [`beside`] creates for `name`.
pub(crate) fn is_temporary_of(name: &OsStr, candidate: &OsStr) -> bool {
    let candidate = candidate.as_encoded_bytes();
    let tag = candidate
        .strip_prefix(name.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b"."))
        .and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
    tag.is_some_and(|tag| {
        tag.len() == 2 * TAG_BYTES && tag.iter().all(|digit| b"0123456789abcdef".contains(digit))
    })
}

#[cfg(unix)]
fn is_ours(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == super::own_id()
}

#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
fn is_deleted(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(file.metadata()?.nlink() == 0)
}

#[cfg(not(unix))]
fn is_deleted(_: &File) -> io::Result<bool> {
    Ok(false)
}
