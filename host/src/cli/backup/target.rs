//! The file that a backup becomes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::super::Failure;

/// A file under a name of its own, which goes if it is not finished.
pub(super) struct Target {
    temporary: PathBuf,
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
    /// Creates the file, for its owner only.
    pub(super) fn create(path: &Path) -> Result<(Target, File), Failure> {
        let mut tag = [0_u8; 8];
        getrandom::fill(&mut tag).map_err(Failure::start)?;
        let tag = u64::from_be_bytes(tag);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{tag:016x}.new"));
        let temporary = path.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&temporary)
            .map_err(|error| unwritable(path, &error))?;
        let path = path.to_owned();
        Ok((Target { temporary, path }, file))
    }

    /// Makes what was written durable, and gives it its name.
    pub(super) fn finish(self, file: &File, force: bool) -> Result<(), Failure> {
        let unwritable = |error| unwritable(&self.path, &error);
        file.sync_all().map_err(unwritable)?;
        match force {
            true => fs::rename(&self.temporary, &self.path).map_err(unwritable)?,
            false => self.name()?,
        }
        sync_folder(&self.path).map_err(unwritable)
    }

    /// Takes the name only if nobody has it, in one step where the file system has
    /// hard links.
    fn name(&self) -> Result<(), Failure> {
        match fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(&self.path)),
            Err(_) => {
                refuse(&self.path, false)?;
                fs::rename(&self.temporary, &self.path)
                    .map_err(|error| unwritable(&self.path, &error))
            }
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Not there any more if it was renamed.
        let _ = fs::remove_file(&self.temporary);
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
