//! The file that a backup becomes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use user_auth_host::files::Temporary;

use super::super::Failure;

/// A file under a name of its own, which goes if it is not finished.
pub(super) struct Target {
    temporary: Temporary,
    path: PathBuf,
}

/// Refuses a name that is taken, unless what has it may go.
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
    /// Creates the file, for its owner only. What a backup of the same name that was
    /// killed has left is deleted.
    pub(super) fn create(path: &Path) -> Result<(Target, File), Failure> {
        let unwritable = |error| unwritable(path, &error);
        let temporary = Temporary::create(path).map_err(unwritable)?;
        let file = temporary.file().try_clone().map_err(unwritable)?;
        let path = path.to_owned();
        Ok((Target { temporary, path }, file))
    }

    /// Makes what was written durable, and gives it its name.
    pub(super) fn finish(self, file: &File, force: bool) -> Result<(), Failure> {
        let Target { temporary, path } = self;
        let unwritable = |error| unwritable(&path, &error);
        file.sync_all().map_err(unwritable)?;
        let named = match force {
            true => temporary.replace(&path),
            false => temporary.claim(&path),
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
        "the file {} is there already: take another name, or add `--force` to replace it",
        path.display()
    ))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!(
        "the file {} cannot be written: {error}",
        path.display()
    ))
}
