//! Computes message authentication codes in the sandbox, under keys derived from a master
//! key, which is a setting.

use std::env;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::ports::{Keys, Unavailable};

/// The setting that holds the master key: hexadecimal digits, or base64 of either
/// alphabet, padded or not; at least 32 bytes.
pub const VARIABLE: &str = "USER_AUTH_MASTER_KEY";

/// The output size of HMAC-SHA256.
const MIN_BYTES: usize = 32;

/// The master key in the environment, read for each code.
pub struct MasterKey;

impl MasterKey {
    /// Returns what is wrong with the setting, if anything is. The text never quotes
    /// its value.
    pub fn check() -> Result<(), &'static str> {
        read().map(drop)
    }

    /// Returns the key with this label.
    pub fn derive(label: &str) -> Result<Zeroizing<[u8; 32]>, Unavailable> {
        let key = read().map_err(|problem| Unavailable {
            reason: format!("{VARIABLE} {problem}"),
            retry_after_ms: Some(1000),
        })?;
        Ok(Zeroizing::new(hmac_sha256(&key, label.as_bytes())))
    }
}

impl Keys for MasterKey {
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable> {
        let key = MasterKey::derive(label)?;
        Ok(hmac_sha256(key.as_slice(), message))
    }
}

/// Returns the HMAC-SHA256 (RFC 2104) of a message.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn read() -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text =
        env::var(VARIABLE).map_err(|_| "is missing; create a key with `openssl rand -hex 32`")?;
    parse(Zeroizing::new(text).trim())
}

/// Parses the master key. Text that looks like hexadecimal digits is not read as
/// base64: the key would not be the one that was meant.
fn parse(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = match is_hex {
        true => base16ct::mixed::decode_vec(text).ok(),
        false => [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|alphabet| alphabet.decode(text).ok()),
    };
    let key = key.map(Zeroizing::new);
    key.filter(|key| key.len() >= MIN_BYTES).ok_or(
        "is invalid; expected at least 64 hexadecimal digits, or base64 of at least 32 bytes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_base64_keys_of_32_bytes_are_accepted() {
        let bytes: Vec<u8> = (0..32).collect();
        for text in [
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
            &STANDARD.encode(&bytes),
            &URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            assert_eq!(*parse(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "no!", "xyzw", &"0".repeat(62), &"0".repeat(65)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
