//! Opens files for output under a name that the user gave.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use super::FileError;

/// The treatment of existing content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// New output is appended.
    Kept,
    /// The content stays until the caller empties the file with [`File::set_len`].
    Open,
}

/// Opens a file to write to, or creates it for its owner only. Rejects a file that
/// another user created: that user could read the output, and a link of theirs may lead
/// to any file of ours.
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
    // A terminal retains nothing, nor does a pipe that a link leads to, such as
    // `/dev/stderr`. Whatever is written to a named pipe can be read by its creator.
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

/// Returns whether the name is a link that may be followed: one of this user's or of
/// root's, such as `/dev/stderr`, in a folder in which no other user can replace it.
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
