//! The bytes of a secret, and the keys derived from them.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Minimum size of a secret in bytes: the output size of HMAC-SHA256.
pub const MIN_SECRET_BYTES: usize = 32;

/// A secret of at least [`MIN_SECRET_BYTES`]. Cheap to clone; the bytes are wiped with the
/// last clone.
#[derive(Clone)]
pub(crate) struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Returns a secret of these bytes, or `None` if they are too few.
    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() >= MIN_SECRET_BYTES).then(|| Self(Arc::new(bytes)))
    }

    /// Returns a random secret.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new(vec![0; MIN_SECRET_BYTES]);
        getrandom::fill(&mut bytes)?;
        Ok(Self(Arc::new(bytes)))
    }

    /// Returns the secret itself, to encrypt it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the HMAC-SHA256 of `label` under the secret.
    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("any length");
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Returns a value that identifies this secret and reveals nothing about it.
    pub(crate) fn check(&self) -> Vec<u8> {
        base16ct::lower::encode_string(&self.derive("key-check")).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_key_is_the_hmac_of_rfc_4231() {
        // RFC 4231 test case 6 has a key of 131 bytes 0xaa.
        let secret = Secret::from_bytes(Zeroizing::new(vec![0xaa; 131])).unwrap();
        let key = secret.derive("Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            base16ct::lower::encode_string(&key),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
