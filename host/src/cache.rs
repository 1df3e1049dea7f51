//! Compiled code on disk, so that only the first start compiles.
//!
//! Compiled code is run as it is: whoever can write the cache can run anything
//! as us. So it lies in a folder that only we may write, and that is checked
//! before every use. The hash in front of each file finds damage, not malice.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::keys::hex;

/// How many compiled components are kept; the least recently written go first.
const KEPT: usize = 8;
/// A file that was not finished after so long never will be.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens `folder`, creating it if need be. `Err`: it is not ours alone.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        refuse_shared(folder)?;
        let cache = Self {
            folder: folder.to_owned(),
        };
        cache.clear_leftovers();
        Ok(cache)
    }

    /// The component whose bytes have this SHA-256, if it is here and whole.
    pub(crate) fn get(&self, engine: &Engine, sha256: &[u8; 32]) -> Option<Component> {
        let path = self.path(engine, sha256);
        let file = fs::read(&path).ok()?;
        let Some(code) = unseal(&file) else {
            warn!(path = %path.display(), "a cached component is damaged; compiling it again");
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                debug!(path = %path.display(), "a cached component does not fit: {error:#}");
                None
            }
        }
    }

    /// Keeps a compiled component. The cache is a convenience: a failure is
    /// logged and changes nothing.
    pub(crate) fn put(&self, component: &Component, sha256: &[u8; 32]) {
        let path = self.path(component.engine(), sha256);
        let written = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| write(&path, &code));
        match written {
            Ok(()) => self.prune(),
            Err(error) => {
                warn!(path = %path.display(), %error, "a compiled component could not be cached");
            }
        }
    }

    /// Compiled code depends on the component, on the compiler and on its
    /// settings and the processor, which the engine's hash covers.
    fn path(&self, engine: &Engine, sha256: &[u8; 32]) -> PathBuf {
        let mut compatibility = DefaultHasher::new();
        engine
            .precompile_compatibility_hash()
            .hash(&mut compatibility);
        let name = format!("{}-{:016x}.cwasm", hex(sha256), compatibility.finish());
        self.folder.join(name)
    }

    fn prune(&self) {
        let mut files = self.files(&["cwasm"]);
        files.sort();
        let surplus = files.len().saturating_sub(KEPT);
        for (_, path) in &files[..surplus] {
            let _ = fs::remove_file(path);
        }
    }

    /// Deletes what processes left behind that were killed while they wrote. It
    /// takes a file some time to be one of those.
    fn clear_leftovers(&self) {
        for (written, path) in self.files(&["new", "probe"]) {
            if written.elapsed().is_ok_and(|age| age > LEFTOVER_AGE) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// The files whose names end so, and when they were written.
    fn files(&self, endings: &[&str]) -> Vec<(SystemTime, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                endings
                    .iter()
                    .any(|end| path.extension() == Some(end.as_ref()))
            })
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect()
    }
}

/// Writes beside the final name and renames: a reader sees all or nothing.
fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    let temporary = path.with_extension(format!("{}.new", hex(&tag)));
    let written = create_private(&temporary)
        .and_then(|mut file| {
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The code in a cached file, if it is what was written.
fn unseal(file: &[u8]) -> Option<&[u8]> {
    let (digest, code) = file.split_first_chunk::<32>()?;
    (Sha256::digest(code)[..] == digest[..]).then_some(code)
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code must be what `Component::serialize` put out, unaltered.
    // It comes from a folder that nobody but this user may write (checked in
    // `Cache::open`), whole as its hash says, and wasmtime itself checks that
    // its own version and settings wrote it.
    unsafe { Component::deserialize(engine, code) }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn refuse_shared(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = fs::metadata(folder)?;
    if metadata.mode() & 0o022 != 0 {
        let reason = format!("others may write it (mode {:03o})", metadata.mode() & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    // A file that we create belongs to us; std has no other way to ask.
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(io::Error::other)?;
    let probe = folder.join(format!("{}.probe", hex(&tag)));
    let ours = create_private(&probe)?.metadata()?.uid();
    fs::remove_file(&probe)?;
    if metadata.uid() == ours {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it belongs to another user",
    ))
}

#[cfg(not(unix))]
fn refuse_shared(_: &Path) -> io::Result<()> {
    Err(io::Error::other(
        "this system does not say who may write a folder",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    /// The smallest component there is: the header and nothing else.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_was_put_is_found_again() {
        let folder = tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let engine = Engine::default();
        assert!(cache.get(&engine, &[7; 32]).is_none());
        cache.put(&Component::new(&engine, EMPTY).unwrap(), &[7; 32]);
        assert!(cache.get(&engine, &[7; 32]).is_some());
        assert!(cache.get(&engine, &[8; 32]).is_none());
    }

    #[test]
    fn damage_is_found_before_the_code_is_used() {
        let folder = tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let engine = Engine::default();
        cache.put(&Component::new(&engine, EMPTY).unwrap(), &[7; 32]);
        let path = cache.path(&engine, &[7; 32]);
        let whole = fs::read(&path).unwrap();

        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], &whole[..16], &[]] {
            fs::write(&path, damaged).unwrap();
            assert!(cache.get(&engine, &[7; 32]).is_none());
        }
    }

    #[test]
    fn what_killed_processes_left_is_cleared_away() {
        let folder = tempdir().unwrap();
        for name in [
            "old.cwasm",
            "old.1.new",
            "old.probe",
            "fresh.1.new",
            "fresh.probe",
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            if name.starts_with("old") {
                file.set_modified(SystemTime::now() - 2 * LEFTOVER_AGE)
                    .unwrap();
            }
        }
        Cache::open(folder.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["fresh.1.new", "fresh.probe", "old.cwasm"]);
    }

    #[test]
    fn keeps_the_newest_few() {
        let folder = tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let component = Component::new(&Engine::default(), EMPTY).unwrap();
        for number in 0..=KEPT as u8 + 2 {
            cache.put(&component, &[number; 32]);
        }
        assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), KEPT);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Cache::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
