//! Caches compiled code on disk, so that only the first start compiles.
//!
//! Compiled code is executed as it is: anyone who can write the cache can run code as
//! this user. So a file is used only if
//! - it is in a folder that only this user can access ([`Folder`]), and was written by
//!   this user with no write permission for others;
//! - it is sealed, for its name, under a key that only this cache has.
//!
//! The first check alone is not enough for a cache whose files were open to other users
//! for a while: once its permissions are corrected, files that others modified look
//! like ours. The key of the seal reveals this, since it is derived from the key file
//! *and from the time at which anything about that file last changed*, including its
//! permissions. Opening the key file to others and closing it again results in a
//! different key.
//!
//! The key is not derived from the master key: one cache serves stores with different
//! master keys, including stores in memory, whose keys end with their process; and the
//! component is compiled before a store is opened.
//!
//! Files that fail a check are compiled again and replaced.

mod folder;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

use self::folder::{Flaw, Folder, Found};

/// Number of compiled components kept; the least recently written are deleted first.
const MAX_COMPONENTS: usize = 8;
const ENDING: &str = ".cwasm";
const KEY_FILE: &str = "seal.key";
const KEY_BYTES: usize = 32;
const SEAL_BYTES: usize = blake3::OUT_LEN;
/// The purpose of the key. Raise the number with every change of the sealed format.
const PURPOSE: &[u8] = b"user-auth compiled code 2";

/// A folder of compiled components.
pub(crate) struct Cache {
    /// The path, for messages only.
    path: PathBuf,
    folder: Folder,
    key: Zeroizing<[u8; 32]>,
}

impl Cache {
    /// Opens the folder, and creates it if it does not exist. Fails if other users can
    /// access it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let folder = Folder::open(path)?;
        let key = key(&folder, path)?;
        Ok(Self {
            path: path.to_owned(),
            folder,
            key,
        })
    }

    /// Returns the component whose bytes have this SHA-256, if this cache has it and
    /// wrote it.
    pub(crate) fn get(&self, engine: &Engine, sha256: &[u8; 32]) -> Option<Component> {
        let name = name(engine, sha256);
        let found = match self.folder.read(&name) {
            Ok(found) => found,
            Err(Flaw::Absent) => return None,
            Err(Flaw::Foreign(reason)) => return self.unused(&name, &reason),
        };
        let Some(code) = self.unseal(&name, &found.bytes) else {
            let reason = "it is damaged, or was not written by this program with this cache";
            return self.unused(&name, reason);
        };
        match deserialize(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                debug!(file = name, "a cached component does not fit: {error:#}");
                None
            }
        }
    }

    /// Warns that a file is not used.
    fn unused(&self, name: &str, reason: &str) -> Option<Component> {
        let file = self.path.join(name);
        warn!(
            file = %file.display(),
            reason,
            "a file in the cache for compiled code is not used; the component is compiled \
             again, and the file replaced"
        );
        None
    }

    /// Stores a compiled component. The cache is only an optimisation: a failure is
    /// logged and has no other effect.
    pub(crate) fn put(&self, component: &Component, sha256: &[u8; 32]) {
        let name = name(component.engine(), sha256);
        let written = component
            .serialize()
            .map_err(|error| io::Error::other(format!("{error:#}")))
            .and_then(|code| {
                let seal = self.seal(&name, &code);
                self.folder.write(&name, [seal.as_bytes(), &code])
            });
        match written {
            Ok(()) => self.prune(),
            Err(error) => {
                let file = self.path.join(name);
                warn!(file = %file.display(), %error, "a compiled component could not be cached");
            }
        }
    }

    /// Returns the seal of a file: a keyed BLAKE3, since each start waits for it. It covers
    /// the name, so that compiled code of one component cannot pass as that of another.
    fn seal(&self, name: &str, code: &[u8]) -> blake3::Hash {
        let mut seal = blake3::Hasher::new_keyed(&self.key);
        seal.update(name.as_bytes()).update(b"\0").update(code);
        seal.finalize()
    }

    fn unseal<'a>(&self, name: &str, file: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, code) = file.split_first_chunk::<SEAL_BYTES>()?;
        // This comparison takes the same time for all seals.
        let is_good = self.seal(name, code) == blake3::Hash::from_bytes(*seal);
        is_good.then_some(code)
    }

    fn prune(&self) {
        let files = self.folder.files(ENDING);
        let surplus = files.len().saturating_sub(MAX_COMPONENTS);
        for (_, name) in &files[..surplus] {
            self.folder.delete(name);
        }
    }
}

/// Returns the file name of a compiled component. Compiled code depends on the
/// component, and on the compiler, its settings and the processor, which the engine's
/// hash covers.
fn name(engine: &Engine, sha256: &[u8; 32]) -> String {
    let mut compatibility = DefaultHasher::new();
    engine
        .precompile_compatibility_hash()
        .hash(&mut compatibility);
    format!(
        "{}-{:016x}{ENDING}",
        base16ct::lower::encode_string(sha256),
        compatibility.finish()
    )
}

/// Returns the key of the seals, or a new one if there is no key file or others had
/// access to it.
fn key(folder: &Folder, path: &Path) -> io::Result<Zeroizing<[u8; 32]>> {
    let flaw = match folder.read(KEY_FILE) {
        Err(Flaw::Absent) => None,
        Err(Flaw::Foreign(reason)) => Some(reason),
        Ok(found) => match derived(&found) {
            Ok(key) => return Ok(key),
            Err(reason) => Some(reason.to_owned()),
        },
    };
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *secret).map_err(io::Error::other)?;
    match flaw {
        None => match folder.write_new(KEY_FILE, [&*secret, b""]) {
            // Another process was first, so its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written?,
        },
        Some(reason) => {
            let file = path.join(KEY_FILE);
            warn!(
                file = %file.display(),
                reason,
                "the key of the cache for compiled code is replaced; cached components are \
                 compiled again"
            );
            folder.write(KEY_FILE, [&*secret, b""])?;
        }
    }
    match folder.read(KEY_FILE) {
        Ok(found) => derived(&found).map_err(io::Error::other),
        Err(Flaw::Absent) => Err(io::ErrorKind::NotFound.into()),
        Err(Flaw::Foreign(reason)) => Err(io::Error::other(reason)),
    }
}

/// Derives the key from a key file and the time of its last change.
fn derived(found: &Found) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    if found.bytes.len() != KEY_BYTES {
        return Err("it is damaged");
    }
    if found.is_readable_by_others {
        return Err("others may read it");
    }
    let (seconds, nanoseconds) = found.changed;
    let mut mac = mac(&found.bytes);
    mac.update(PURPOSE);
    mac.update(&seconds.to_be_bytes());
    mac.update(&nanoseconds.to_be_bytes());
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

#[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length")
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the code must be the unaltered output of `Component::serialize`.
    // `Cache::unseal` verified its seal, over these very bytes in memory, under a key
    // that only this user can read; and wasmtime itself checks that its own version and
    // settings wrote it.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(all(test, unix))]
mod tests;
