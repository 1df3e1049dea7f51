//! Opens files for output under a name that the user gave.

use std::fs::{File, OpenOptions};
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
    // Terminals and pipes do not retain anything.
    if metadata.is_file() {
        super::trust::refuse(path, &metadata, super::Guard::Trusted)?;
    }
    Ok(file)
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
