//! Files that are written to under a name that was given.

use std::fs::{File, OpenOptions};
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
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use rustix::fs::OFlags;

        let mut flags = OFlags::NOCTTY;
        if !is_link_of_ours(path)? {
            flags |= OFlags::NOFOLLOW;
        }
        options.mode(0o600).custom_flags(flags.bits() as i32);
    }
    let file = options.open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    // Terminals and pipes keep nothing.
    if metadata.is_file() {
        super::trust::refuse(path, &metadata, super::Guard::Trusted)?;
    }
    Ok(file)
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
