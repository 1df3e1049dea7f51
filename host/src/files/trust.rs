//! Checks the owner and the permissions of a file for who may change it.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::{FileError, Guard};

#[cfg(unix)]
use unix::others_may_write;
#[cfg(unix)]
pub(crate) use unix::own_id;
#[cfg(unix)]
pub(super) use unix::{NONBLOCKING, block_again};

/// Fails if other users have the access that the guard forbids.
#[cfg(unix)]
pub(super) fn refuse(path: &Path, metadata: &Metadata, guard: Guard) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt as _;

    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    let trusts_program = guard == Guard::Trusted && unix::owner_of_program() == Some(owner);
    if ![own_id(), ROOT].contains(&owner) && !trusts_program {
        return Err(FileError::Owner {
            path: path.to_owned(),
            owner,
            expected: own_id(),
        });
    }
    let is_exposed = match guard {
        Guard::Trusted => false,
        // The rule of PostgreSQL for the key of its certificate.
        Guard::Secret if owner == own_id() => mode & 0o077 != 0,
        Guard::Secret | Guard::Credential => mode & 0o027 != 0,
    };
    if is_exposed {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if others_may_write(metadata) {
        Err(FileError::Writable {
            path: path.to_owned(),
            mode,
        })
    } else {
        Ok(())
    }
}

#[cfg(not(unix))]
pub(super) fn refuse(_: &Path, _: &Metadata, _: Guard) -> Result<(), FileError> {
    Ok(())
}

/// Fails if another user could put records into an SQLite database: through its file,
/// through one of the files that SQLite keeps beside it, or by replacing them.
///
/// SQLite opens files only by name. So no other user may be able to assign those names
/// to other files meanwhile; in a folder where everyone may create files, such as
/// `/tmp`, the existing files belong to their creators.
#[cfg(unix)]
pub(crate) fn refuse_exposed_database(path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt as _;

    refuse_open_folder(path)?;
    // SQLite keeps its files beside the target of a link.
    let real = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        found => found.map_err(|error| FileError::io(path, error))?,
    };
    let around = refuse_open_folder(&real)?;
    let mut trusted = vec![own_id(), ROOT];
    if own_id() == ROOT {
        // The administrator may look at the files in a service's own folder.
        trusted.push(around.uid());
    }
    let link = path.symlink_metadata().ok().filter(Metadata::is_symlink);
    if let Some(owner) = link.map(|link| link.uid())
        && !trusted.contains(&owner)
    {
        return Err(FileError::ForeignLink {
            path: path.to_owned(),
            owner,
        });
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = real.as_os_str().to_owned();
        name.push(suffix);
        let file = Path::new(&name);
        let metadata = match file.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(|error| FileError::io(file, error))?,
        };
        if !metadata.is_file() {
            return Err(super::no_regular_file(file));
        }
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
        if !trusted.contains(&owner) {
            return Err(FileError::Owner {
                path: file.to_owned(),
                owner,
                expected: own_id(),
            });
        }
        // A group may share it: Kubernetes volumes belong to one.
        if mode & 0o002 != 0 {
            return Err(FileError::Writable {
                path: file.to_owned(),
                mode,
            });
        }
        if suffix.is_empty() && mode & 0o004 != 0 {
            let database = file.display();
            tracing::warn!(
                %database,
                "others may read the database, including password hashes (mode {mode:03o}); run \
                 `chmod o-r {database}`"
            );
        }
    }
    Ok(())
}

/// Fails if everyone may rename and delete files in the folder of a file.
#[cfg(unix)]
pub(super) fn refuse_open_folder(file: &Path) -> Result<Metadata, FileError> {
    use std::os::unix::fs::MetadataExt as _;

    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let around = folder
        .metadata()
        .map_err(|error| FileError::io(folder, error))?;
    if around.mode() & 0o002 != 0 && around.mode() & STICKY == 0 {
        Err(FileError::Writable {
            path: folder.to_owned(),
            mode: around.mode() & 0o777,
        })
    } else {
        Ok(around)
    }
}

#[cfg(not(unix))]
pub(crate) fn refuse_exposed_database(_: &Path) -> Result<(), FileError> {
    Ok(())
}

#[cfg(unix)]
pub(super) const ROOT: u32 = 0;
/// In a sticky folder only the owner of a file may rename or delete it.
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::OnceLock;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    use super::{File, Metadata, io};

    /// The flag for `open`.
    pub(in super::super) const NONBLOCKING: i32 =
        OFlags::NONBLOCK.union(OFlags::NOCTTY).bits() as i32;

    /// Returns the user id of this process.
    pub(crate) fn own_id() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Returns whether the permissions allow writing by users other than the owner,
    /// root, and the owner's own group, which by convention has the same number.
    pub(super) fn others_may_write(metadata: &Metadata) -> bool {
        let by_group = metadata.mode() & 0o020 != 0;
        let is_private_group = [super::ROOT, metadata.uid()].contains(&metadata.gid());
        metadata.mode() & 0o002 != 0 || by_group && !is_private_group
    }

    /// Returns the owner of this program's file, who could replace it and so needs no
    /// other way to run code.
    pub(super) fn owner_of_program() -> Option<u32> {
        static OWNER: OnceLock<Option<u32>> = OnceLock::new();
        *OWNER.get_or_init(|| {
            let program = std::env::current_exe().ok()?;
            Some(program.metadata().ok()?.uid())
        })
    }

    /// Makes reads block again until there is data.
    pub(in super::super) fn block_again(file: &File) -> io::Result<()> {
        let flags = fcntl_getfl(file)?;
        Ok(fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
    }
}
