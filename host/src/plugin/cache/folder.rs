//! A folder that only this user can access, and the files in it. The folder is opened
//! once, without following a link, and every file is opened relative to that handle: if
//! the name changes later, no other folder takes its place.

use std::io;
use std::path::Path;

use memmap2::MmapMut;

/// A file as it was when it was opened.
pub(super) struct Found {
    pub(super) bytes: MmapMut,
    /// Time at which anything about it last changed, including its permissions and
    /// names, in seconds and nanoseconds; no user can set it.
    pub(super) changed: (i64, i64),
    /// Whether other users may read it.
    pub(super) is_readable_by_others: bool,
}

/// Reasons why a file is not used.
pub(super) enum Flaw {
    /// The file does not exist.
    Absent,
    /// The file is not as this program writes files here; the text says how.
    Foreign(String),
}

#[cfg(unix)]
pub(super) use unix::Folder;

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fs::{DirBuilder, File};
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    use std::time::SystemTime;

    use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, statat, unlinkat};
    use rustix::io::Errno;

    use super::{Flaw, Found, Path, io};
    use crate::files::{own_id, read_large};

    /// The suffix of files that are still being written.
    const UNFINISHED: &str = ".new";
    /// Number of attempts to create a file: another process may delete it as left over
    /// between its creation and its lock, but hardly more than once in a row.
    const MAX_ATTEMPTS: usize = 8;

    pub(in super::super) struct Folder(OwnedFd);

    impl Folder {
        /// Opens a folder, and creates it if it does not exist. Fails if other users
        /// can access it; the error says what to do.
        pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => refused("it is a link: name the folder itself"),
                error => error.into(),
            })?;
            let folder = File::from(folder);
            let metadata = folder.metadata()?;
            let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
            if owner != own_id() {
                return Err(refused(&format!(
                    "it belongs to user {owner}: name a folder of user {}",
                    own_id()
                )));
            }
            if mode & 0o022 != 0 {
                return Err(refused(&format!(
                    "others may write it (mode {mode:03o}): run `chmod 700 {}`",
                    path.display()
                )));
            }
            let folder = Folder(folder.into());
            folder.sweep();
            Ok(folder)
        }

        /// Reads a file that this user wrote and no other user may write.
        pub(in super::super) fn read(&self, name: &str) -> Result<Found, Flaw> {
            // Non-blocking, so that opening a pipe does not wait.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file =
                openat(&self.0, name, flags, Mode::empty()).map_err(|error| match error {
                    Errno::NOENT => Flaw::Absent,
                    Errno::LOOP => Flaw::Foreign("it is a link".to_owned()),
                    error => Flaw::Foreign(error.to_string()),
                })?;
            let file = File::from(file);
            let unreadable = |error: io::Error| Flaw::Foreign(error.to_string());
            let metadata = file.metadata().map_err(unreadable)?;
            let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
            let flaw = match () {
                () if !metadata.is_file() => "it is not a regular file".to_owned(),
                () if owner != own_id() => format!("it belongs to user {owner}"),
                () if mode & 0o022 != 0 => format!("others may write it (mode {mode:03o})"),
                () if metadata.nlink() != 1 => "it has another name somewhere".to_owned(),
                () if metadata.len() == 0 => "it is empty".to_owned(),
                () => {
                    let size = usize::try_from(metadata.len())
                        .map_err(|error| Flaw::Foreign(error.to_string()))?;
                    return Ok(Found {
                        bytes: read_large(&file, size).map_err(unreadable)?,
                        changed: (metadata.ctime(), metadata.ctime_nsec()),
                        is_readable_by_others: mode & 0o077 != 0,
                    });
                }
            };
            Err(Flaw::Foreign(flaw))
        }

        /// Writes a file under a temporary name and renames it, so that a reader sees
        /// all of it or nothing.
        pub(in super::super) fn write(&self, name: &str, parts: [&[u8]; 2]) -> io::Result<()> {
            self.write_under(name, parts, |unfinished| {
                Ok(renameat(&self.0, unfinished, &self.0, name)?)
            })
        }

        /// Writes the file in the same way unless its name exists, in one step as far
        /// as the system supports that.
        pub(in super::super) fn write_new(&self, name: &str, parts: [&[u8]; 2]) -> io::Result<()> {
            self.write_under(name, parts, |unfinished| {
                #[cfg(any(target_os = "linux", target_os = "macos"))]
                {
                    use rustix::fs::{RenameFlags, renameat_with};
                    let flags = RenameFlags::NOREPLACE;
                    match renameat_with(&self.0, unfinished, &self.0, name, flags) {
                        // Not every file system supports this.
                        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                        renamed => return Ok(renamed?),
                    }
                }
                Ok(renameat(&self.0, unfinished, &self.0, name)?)
            })
        }

        fn write_under(
            &self,
            name: &str,
            parts: [&[u8]; 2],
            rename: impl FnOnce(&str) -> io::Result<()>,
        ) -> io::Result<()> {
            let (unfinished, mut file) = self.create(name)?;
            let written = parts
                .iter()
                .try_for_each(|part| file.write_all(part))
                .and_then(|()| rename(&unfinished));
            if written.is_err() {
                self.delete(&unfinished);
            }
            written
        }

        /// Creates a file that is to become `name`, and locks it, so that other
        /// processes can tell that it is being written. The lock ends with this
        /// process.
        fn create(&self, name: &str) -> io::Result<(String, File)> {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            for _ in 0..MAX_ATTEMPTS {
                let mut tag = [0; 8];
                getrandom::fill(&mut tag).map_err(io::Error::other)?;
                let unfinished = format!(
                    "{name}.{}{UNFINISHED}",
                    base16ct::lower::encode_string(&tag)
                );
                let file = File::from(openat(&self.0, &*unfinished, flags, mode)?);
                // Without locks in the file system, the file may be deleted as left
                // over; another start writes it again.
                let _ = file.lock();
                if file.metadata()?.nlink() > 0 {
                    return Ok((unfinished, file));
                }
            }
            Err(io::Error::other("another process keeps deleting the file"))
        }

        pub(in super::super) fn delete(&self, name: &str) {
            let _ = unlinkat(&self.0, name, AtFlags::empty());
        }

        /// Returns the files whose names end in this way, with their modification
        /// times, oldest first.
        pub(in super::super) fn files(&self, ending: &str) -> Vec<(SystemTime, String)> {
            let Ok(entries) = Dir::read_from(&self.0) else {
                return Vec::new();
            };
            let mut files: Vec<_> = entries
                .flatten()
                .filter_map(|entry| {
                    let name = OsStr::from_bytes(entry.file_name().to_bytes());
                    Some(name.to_str()?.to_owned())
                })
                .filter(|name| name.ends_with(ending))
                .filter_map(|name| {
                    let stat = statat(&self.0, &*name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
                    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
                    let since_1970 = std::time::Duration::new(seconds, nanos);
                    Some((SystemTime::UNIX_EPOCH + since_1970, name))
                })
                .collect();
            files.sort();
            files
        }

        /// Deletes the files of processes that were killed while they wrote.
        fn sweep(&self) {
            for (_, name) in self.files(UNFINISHED) {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let Ok(file) = openat(&self.0, &*name, flags, Mode::empty()) else {
                    // A link, or another entry that this program does not create.
                    self.delete(&name);
                    continue;
                };
                // The lock is held until the file is deleted: a process that has just
                // created it waits for that.
                let file = File::from(file);
                if file.try_lock().is_ok() {
                    self.delete(&name);
                }
            }
        }
    }

    fn refused(reason: &str) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    }
}

/// Unsupported where the system does not report who may write to a folder.
#[cfg(not(unix))]
pub(super) enum Folder {}

#[cfg(not(unix))]
impl Folder {
    pub(super) fn open(_: &Path) -> io::Result<Self> {
        let reason = "this system does not report who may write to a folder";
        Err(io::Error::other(reason))
    }

    pub(super) fn read(&self, _: &str) -> Result<Found, Flaw> {
        match *self {}
    }

    pub(super) fn write(&self, _: &str, _: [&[u8]; 2]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn write_new(&self, _: &str, _: [&[u8]; 2]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn delete(&self, _: &str) {
        match *self {}
    }

    pub(super) fn files(&self, _: &str) -> Vec<(std::time::SystemTime, String)> {
        match *self {}
    }
}
