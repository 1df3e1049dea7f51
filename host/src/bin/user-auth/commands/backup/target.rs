//! The file that a backup is written to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use user_auth_host::files::Temporary;

use crate::failure::Failure;

/// A file with a temporary name, which is deleted unless it is finished.
pub(super) struct Target {
    temporary: Temporary,
    path: PathBuf,
}

/// Fails if the file exists, unless it may be replaced.
pub(super) fn refuse(path: &Path, force: bool) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) if !force => Err(taken(path)),
        Ok(metadata) if metadata.is_dir() => {
            Err(unwritable(path, &io::ErrorKind::IsADirectory.into()))
        }
        _ => Ok(()),
    }
}

impl Target {
    /// Creates the file, for its owner only. Deletes the temporary files of earlier
    /// backups of this name that were killed.
    pub(super) fn create(path: &Path) -> Result<(Target, File), Failure> {
        let unwritable = |error| unwritable(path, &error);
        let temporary = Temporary::create(path).map_err(unwritable)?;
        let file = temporary.file().try_clone().map_err(unwritable)?;
        let path = path.to_owned();
        Ok((Target { temporary, path }, file))
    }

    /// Makes the content durable, and renames the file to its final name.
    pub(super) fn finish(self, file: &File, force: bool) -> Result<(), Failure> {
        let Target { temporary, path } = self;
        let unwritable = |error| unwritable(&path, &error);
        file.sync_all().map_err(unwritable)?;
        let named = if force {
            temporary.replace(&path)
        } else {
            temporary.claim(&path)
        };
        named.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(&path),
            _ => unwritable(error),
        })?;
        sync_folder(&path).map_err(unwritable)
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn taken(path: &Path) -> Failure {
    Failure::usage(format!(
        "the file {} already exists: choose another name, or add `--force` to replace it",
        path.display()
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!(
        "the file {} cannot be written: {error}",
        path.display()
    ))
}
