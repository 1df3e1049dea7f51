//! The master key: what the operator of a store holds.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::files::{self, FileError, Guard, Temporary};
use crate::keys::secret::{MIN_SECRET_BYTES, Secret};

const MAX_FILE_BYTES: u64 = 4096;

/// The master key of a store, which its operator holds. It never enters the sandbox, the
/// store or a log, and its only use is to unlock the [`StoreKeys`](crate::StoreKeys) of the
/// store. Cheap to clone; the bytes are wiped with the last clone and never printed.
#[derive(Clone)]
pub struct MasterKey {
    pub(super) secret: Secret,
}

impl MasterKey {
    /// Returns the master key of these bytes, at least [`MIN_SECRET_BYTES`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, KeyError> {
        let length = bytes.len();
        let secret = Secret::from_bytes(Zeroizing::new(bytes));
        let secret = secret.ok_or(KeyError::TooShort { bytes: length })?;
        Ok(Self { secret })
    }

    /// Parses a master key from text: hexadecimal if it contains only such digits,
    /// otherwise base64 of either alphabet, padded or not. White space around it is
    /// ignored.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        // Text that looks like hexadecimal is not read as base64, which would result in
        // a different key.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let bytes = base16ct::mixed::decode_vec(text).ok().map(Zeroizing::new);
            let digits = text.len();
            let secret = bytes.and_then(Secret::from_bytes);
            let secret = secret.ok_or(KeyError::Digits { digits })?;
            return Ok(Self { secret });
        }
        let mut bytes = from_base64(text).ok_or(KeyError::NotText)?;
        Self::from_bytes(mem::take(&mut *bytes))
    }

    /// Returns a random master key that is lost when the process ends, for stores in
    /// memory.
    pub fn ephemeral() -> Result<Self, KeyError> {
        let secret = Secret::random().map_err(KeyError::random)?;
        Ok(Self { secret })
    }

    /// Reads the key from a file that only its owner may read; the owner has to be the
    /// user who runs this program, or root.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, Guard::Secret)
    }

    fn read(path: &Path, guard: Guard) -> Result<Self, KeyError> {
        // A buffer that grows would leave copies of the key behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize));
        // A key file is one line; a path given by mistake may lead to anything.
        files::open(path, guard)?
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| FileError::io(path, error))?;
        Self::from_text(&text).map_err(|reason| KeyError::Content {
            path: path.to_owned(),
            reason: Box::new(reason),
        })
    }

    /// Reads the key from `path`, or writes a random one there if the file does not
    /// exist. If several processes start at once, one writes and all read the same key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        // A process that was killed in the meantime may have left the key under
        // another name.
        files::sweep(path);
        match Self::load(path) {
            Err(KeyError::File(error)) if error.is_absent() => {}
            other => return other,
        }
        create(path).map_err(|error| FileError::io(path, error))?;
        Self::load(path)
    }

    /// Reads the key from a file that the service manager passed to this process
    /// (`LoadCredential=` of systemd). Never creates the file. The group may read it:
    /// if access is granted by an access control list, the group bits show the mask of
    /// that list.
    pub fn load_credential(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, Guard::Credential)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

/// Errors of reading or creating a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The secret has fewer than [`MIN_SECRET_BYTES`].
    #[error(
        "the master key has {bytes} bytes but needs at least {MIN_SECRET_BYTES}; \
         `openssl rand -hex 32` creates one"
    )]
    TooShort {
        /// Its number of bytes.
        bytes: usize,
    },
    /// The text is hexadecimal, with too few digits or an odd number of them.
    #[error(
        "the master key has {digits} hexadecimal digits but needs an even number of at least 64; \
         `openssl rand -hex 32` creates one"
    )]
    Digits {
        /// Its number of digits.
        digits: usize,
    },
    /// The text is neither hexadecimal nor base64.
    #[error(
        "the master key is neither hexadecimal digits, at least 64, nor base64 of at least 32 bytes; \
         `openssl rand -hex 32` creates one"
    )]
    NotText,
    /// The system provided no random bytes.
    #[error("the system provided no random numbers: {0}")]
    Random(String),
    /// The file cannot be read or written, or other users have access to it.
    #[error("the master key file {0}")]
    File(#[from] FileError),
    /// The file contains no valid key.
    #[error("the master key file {} is damaged: {reason}", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// The error of its content.
        reason: Box<KeyError>,
    },
}

impl KeyError {
    pub(super) fn random(error: getrandom::Error) -> Self {
        Self::Random(error.to_string())
    }
}

/// Decodes base64 into a buffer that is wiped, whatever a failed attempt leaves in it.
fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|alphabet| alphabet.decode_slice(text, &mut bytes).ok())?;
    bytes.truncate(length);
    Some(bytes)
}

/// Writes a random secret beside `path` and links it there. The link fails if another
/// process was first, and then that process's secret counts: a file with the final name
/// is always complete.
fn create(path: &Path) -> io::Result<()> {
    let mut secret = Zeroizing::new([0_u8; MIN_SECRET_BYTES]);
    getrandom::fill(&mut *secret).map_err(io::Error::other)?;
    let mut text = Zeroizing::new(base16ct::lower::encode_string(&*secret));
    text.push('\n');

    let temporary = Temporary::create(path)?;
    temporary.file().write_all(text.as_bytes())?;
    temporary.file().sync_all()?;
    match temporary.claim(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(path)
}

/// Makes the new name durable, since losing the key means losing every password.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::{Value, json};
    use tempfile::tempdir;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn the_same_texts_as_in_the_component_are_master_keys() {
        let rows: Vec<Value> =
            serde_json::from_str(include_str!("../../../tests/master_keys.json")).unwrap();
        for row in rows {
            let key = MasterKey::from_text(row["text"].as_str().unwrap()).ok();
            let key = key.map(|key| base16ct::lower::encode_string(key.secret.bytes()));
            assert_eq!(json!(key), row["key"], "{row}");
        }
    }

    #[test]
    fn an_invalid_text_has_its_reason() {
        assert!(matches!(
            MasterKey::from_text("no!"),
            Err(KeyError::NotText)
        ));
        assert!(matches!(
            MasterKey::from_text("xyzw"),
            Err(KeyError::TooShort { bytes: 3 })
        ));
        for digits in [
            HEX[..62].to_owned(),
            format!("{HEX}0"),
            HEX[..44].to_owned(),
        ] {
            let error = MasterKey::from_text(&digits).unwrap_err().to_string();
            let said = format!("{} hexadecimal digits", digits.len());
            assert!(error.contains(&said), "{error}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let keys = MasterKey::from_text(HEX).unwrap();
        assert_eq!(format!("{keys:?}"), "MasterKey { .. }");
    }

    #[test]
    fn concurrent_starts_share_one_key() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("master.key");
        let barrier = std::sync::Barrier::new(16);
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        MasterKey::load_or_create(&path).unwrap().secret.derive("x")
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_readable_by_others_is_rejected() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempdir().unwrap();
        let path = folder.path().join("master.key");
        let _ = MasterKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
        assert!(
            error.contains("mode 640") && error.contains("chmod 600"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_not_regular_is_rejected() {
        let folder = tempdir().unwrap();
        let pipe = folder.path().join("master.key");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = MasterKey::load_or_create(&pipe).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, b"oops\n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"oops\n");
    }
}
