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
        hmac_sha256(&self.0, label.as_bytes())
    }

    /// Returns a value that identifies this secret and reveals nothing about it.
    pub(crate) fn check(&self) -> Vec<u8> {
        base16ct::lower::encode_string(&self.derive("key-check")).into_bytes()
    }
}

/// Returns the HMAC-SHA256 of `message` under `key` (RFC 2104).
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// RFC 4231 section 4; the fifth case is truncated to 128 bits there.
    #[test]
    fn hmac_sha_256_matches_rfc_4231() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../../tests/rfc4231.json")).unwrap();
        for case in cases {
            let bytes = |field: &str| base16ct::lower::decode_vec(case[field].as_str().unwrap());
            let code = hmac_sha256(&bytes("key").unwrap(), &bytes("message").unwrap());
            let code = base16ct::lower::encode_string(&code);
            assert!(code.starts_with(case["code"].as_str().unwrap()), "{case}");
        }
    }
}
