//! The master secret and the keys derived from it.
//!
//! Neither the secret nor a derived key enters the sandbox, the store or a log: the host
//! computes what the component needs them for, each under the label of its purpose.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::files::{self, FileError, Guard, Temporary};
use crate::hex::hex;
use crate::keys::label::Label;

/// Minimum size of a master secret in bytes: the output size of HMAC-SHA256.
pub const MIN_SECRET_BYTES: usize = 32;
const MAX_FILE_BYTES: u64 = 4096;

/// The master secret, or the root secret of a store whose master secret was rotated.
/// Cheap to clone; the bytes are wiped with the last clone and never printed.
#[derive(Clone)]
#[must_use = "use the store with the keys that `claim` returns"]
pub struct Keys {
    secret: Arc<Zeroizing<Vec<u8>>>,
}

impl Keys {
    /// Returns keys for a secret of at least [`MIN_SECRET_BYTES`].
    pub fn from_bytes(secret: Vec<u8>) -> Result<Self, KeysError> {
        let secret = Zeroizing::new(secret);
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeysError::TooShort {
                bytes: secret.len(),
            });
        }
        Ok(Self {
            secret: Arc::new(secret),
        })
    }

    /// Parses a secret from text: hexadecimal if it contains only such digits,
    /// otherwise base64 of either alphabet, padded or not.
    pub fn from_text(text: &str) -> Result<Self, KeysError> {
        let text = text.trim();
        // Text that looks like hexadecimal is not read as base64, which would result in
        // a different key.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let digits = text.len();
            let secret = from_hex(text).ok_or(KeysError::Digits { digits })?;
            return Self::from_bytes(secret);
        }
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| alphabet.decode(text).ok())
            .ok_or(KeysError::NotText)
            .and_then(Self::from_bytes)
    }

    /// Returns a random secret that is lost when the process ends, for stores in
    /// memory.
    pub fn ephemeral() -> Result<Self, KeysError> {
        let mut secret = vec![0; MIN_SECRET_BYTES];
        getrandom::fill(&mut secret).map_err(|error| KeysError::Random(error.to_string()))?;
        Self::from_bytes(secret)
    }

    /// Reads the secret from a file that only its owner may read; the owner has to be
    /// the user who runs this program, or root.
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        Self::read(path, Guard::Secret)
    }

    fn read(path: &Path, guard: Guard) -> Result<Self, KeysError> {
        let mut text = Zeroizing::new(String::new());
        // A key file is one line; a path given by mistake may lead to anything.
        files::open(path, guard)?
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| FileError::io(path, error))?;
        Self::from_text(&text).map_err(|reason| KeysError::Content {
            path: path.to_owned(),
            reason: Box::new(reason),
        })
    }

    /// Reads the secret from `path`, or writes a random one there if the file does not
    /// exist. If several processes start at once, one writes and all read the same
    /// secret.
    pub fn load_or_create(path: &Path) -> Result<Self, KeysError> {
        // A process that was killed in the meantime may have left the secret under
        // another name.
        files::sweep(path);
        match Self::load(path) {
            Err(KeysError::File(error)) if error.is_absent() => {}
            other => return other,
        }
        create(path).map_err(|error| FileError::io(path, error))?;
        Self::load(path)
    }

    /// Reads the secret from a file that the service manager passed to this process
    /// (`LoadCredential=` of systemd). Never creates the file. The group may read it:
    /// if access is granted by an access control list, the group bits show the mask of
    /// that list.
    pub fn load_credential(path: &Path) -> Result<Self, KeysError> {
        Self::read(path, Guard::Credential)
    }

    /// Returns the secret itself, to encrypt it.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Returns the key with a label of the component.
    pub(crate) fn of_component(&self, label: Label<'_>) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.derive(label.as_str()))
    }

    /// Returns the HMAC-SHA256 of `message` under the key with a label of the component.
    pub(crate) fn mac(&self, label: Label<'_>, message: &[u8]) -> [u8; 32] {
        hmac_sha256(self.of_component(label).as_slice(), message)
    }

    /// Returns the HMAC-SHA256 of `label` under the secret.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        hmac_sha256(&self.secret, label.as_bytes())
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Errors of reading or creating a master secret.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
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
    #[error("the master key is neither 64 hexadecimal digits nor base64 of at least 32 bytes")]
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
        reason: Box<KeysError>,
    },
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() < 2 * MIN_SECRET_BYTES || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok()))
        .collect();
    let digits = Zeroizing::new(digits?);
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// Writes a random secret beside `path` and links it there. The link fails if another
/// process was first, and then that process's secret counts: a file with the final name
/// is always complete.
fn create(path: &Path) -> io::Result<()> {
    let mut secret = Zeroizing::new([0_u8; MIN_SECRET_BYTES]);
    getrandom::fill(&mut *secret).map_err(io::Error::other)?;
    let mut text = Zeroizing::new(hex(&*secret));
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
    use tempfile::tempdir;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn a_derived_key_is_the_hmac_of_rfc_4231() {
        // RFC 4231 test case 6 has a key of 131 bytes 0xaa.
        let keys = Keys::from_bytes(vec![0xaa; 131]).unwrap();
        let key = keys.derive("Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            hex(&key),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn text_may_be_hexadecimal_or_base64() {
        let bytes: Vec<u8> = (0..32).collect();
        let expected = Keys::from_bytes(bytes.clone()).unwrap().derive("x");
        for text in [
            HEX.to_owned(),
            HEX.to_uppercase(),
            format!("{HEX}\n"),
            STANDARD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            assert_eq!(Keys::from_text(&text).unwrap().derive("x"), expected);
        }
        assert!(matches!(Keys::from_text("no!"), Err(KeysError::NotText)));
        assert!(matches!(
            Keys::from_text("xyzw"),
            Err(KeysError::TooShort { bytes: 3 })
        ));
        for digits in [
            HEX[..62].to_owned(),
            format!("{HEX}0"),
            HEX[..44].to_owned(),
        ] {
            let error = Keys::from_text(&digits).unwrap_err().to_string();
            let said = format!("{} hexadecimal digits", digits.len());
            assert!(error.contains(&said), "{error}");
        }
    }

    /// RFC 4231 section 4, without the truncated case.
    #[test]
    fn hmac_sha_256_matches_rfc_4231() {
        let counting: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &counting,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than \
                  block-size data. The key needs to be hashed before being used by the \
                  HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac_sha256(key, message)), expected);
        }
    }

    #[test]
    fn a_code_is_the_hmac_under_the_key_of_its_label() {
        let keys = Keys::from_text(HEX).unwrap();
        let label = Label::parse("a label").unwrap();
        let key = keys.derive("a label");
        assert_eq!(*keys.of_component(label), key);
        assert_eq!(keys.mac(label, b"text"), hmac_sha256(&key, b"text"));
        let other = Label::parse("another label").unwrap();
        assert_ne!(keys.mac(other, b"text"), keys.mac(label, b"text"));
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let keys = Keys::from_text(HEX).unwrap();
        assert_eq!(format!("{keys:?}"), "Keys { .. }");
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
                        Keys::load_or_create(&path).unwrap().derive("x")
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
        let _ = Keys::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keys::load_or_create(&path).unwrap_err().to_string();
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
        let error = Keys::load_or_create(&pipe).unwrap_err().to_string();
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
        let error = Keys::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"oops\n");
    }
}
