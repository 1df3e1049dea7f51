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
    parse(&Zeroizing::new(text))
}

/// Parses the master key, by the rules of the host. Text that looks like hexadecimal
/// digits is not read as base64: the key would not be the one that was meant.
fn parse(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = text.trim();
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = match is_hex {
        true => base16ct::mixed::decode_vec(text).ok().map(Zeroizing::new),
        false => from_base64(text),
    };
    key.filter(|key| key.len() >= MIN_BYTES).ok_or(
        "is invalid; expected an even number of hexadecimal digits, at least 64, or base64 of at \
         least 32 bytes; create a key with `openssl rand -hex 32`",
    )
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_same_texts_as_in_the_host_are_master_keys() {
        let rows: Vec<Value> =
            serde_json::from_str(include_str!("../../../../tests/master_keys.json")).unwrap();
        for row in rows {
            let key = parse(row["text"].as_str().unwrap()).ok();
            let key = key.map(|key| base16ct::lower::encode_string(&key));
            assert_eq!(json!(key), row["key"], "{row}");
        }
    }
}
