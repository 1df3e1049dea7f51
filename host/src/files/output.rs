//! Files that are written to under a name that was given.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::FileError;

/// What becomes of what a file holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// What is written comes after it.
    Kept,
    /// It stays until the caller empties the file, by [`File::set_len`].
    Open,
}

/// Opens a file to write to, or creates it for its owner alone. A file that another
/// user made is refused: they would read it, and a link of theirs may lead to any
/// file of ours.
pub fn open_output(path: &Path, existing: Existing) -> Result<File, FileError> {
    let problem = |source| FileError::io(path, source);
    let mut options = OpenOptions::new();
    match existing {
        Existing::Kept => options.append(true),
        Existing::Open => options.write(true).truncate(false),
    };
    options.create(true);
    #[cfg(unix)]
    let is_link = is_link_of_ours(path)?;
    #[cfg(not(unix))]
    let is_link = false;
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use rustix::fs::OFlags;

        // Opening a pipe would wait for a reader.
        let mut flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        if !is_link {
            flags |= OFlags::NOFOLLOW;
        }
        options.mode(0o600).custom_flags(flags.bits() as i32);
    }
    let file = options
        .open(path)
        .map_err(|error| cannot_open(path, error))?;
    let metadata = file.metadata().map_err(problem)?;
    // A terminal keeps nothing, nor does a pipe that a link leads to, such as
    // `/dev/stderr`. Who made a pipe with a name reads what is written to it.
    if metadata.is_file() || (super::is_pipe(&metadata) && !is_link) {
        super::trust::refuse(path, &metadata, super::Guard::Trusted)?;
    }
    #[cfg(unix)]
    super::trust::block_again(&file).map_err(problem)?;
    Ok(file)
}

fn cannot_open(path: &Path, error: io::Error) -> FileError {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
        && path
            .metadata()
            .is_ok_and(|metadata| super::is_pipe(&metadata))
    {
        let reason = "it is a pipe that has no reader; start what reads it first";
        return FileError::io(path, io::Error::new(error.kind(), reason));
    }
    FileError::io(path, error)
}

/// Whether the name is a link to be followed: one of ours or of root, such as
/// `/dev/stderr`, in a folder in which no other user can put another into its place.
#[cfg(unix)]
fn is_link_of_ours(path: &Path) -> Result<bool, FileError> {
    use std::os::unix::fs::MetadataExt as _;

    use super::trust::{ROOT, own_id};

    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(false);
    };
    if !metadata.is_symlink() {
        return Ok(false);
    }
    let owner = metadata.uid();
    if ![own_id(), ROOT].contains(&owner) {
        return Err(FileError::ForeignLink {
            path: path.to_owned(),
            owner,
        });
    }
    super::trust::refuse_open_folder(path)?;
    Ok(true)
}
