//! Message authentication codes under keys that the host derives.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::{Ports, Unavailable};

/// HMAC-SHA256 (RFC 2104).
pub type HmacSha256 = Hmac<Sha256>;

/// Returns an HMAC-SHA256 without input yet, under the key that the host derives for this
/// label.
pub fn keyed(label: &str, ports: &Ports) -> Result<HmacSha256> {
    let key = Zeroizing::new(ports.keys.derive(label)?);
    under(key.as_slice())
}

/// Returns an HMAC-SHA256 without input yet, under this key.
pub(crate) fn under(key: &[u8]) -> Result<HmacSha256> {
    // HMAC accepts keys of any length, but the type of the constructor does not say so.
    let mac = HmacSha256::new_from_slice(key).map_err(|error| Unavailable {
        reason: error.to_string(),
        retry_after_ms: 1000,
    })?;
    Ok(mac)
}

/// Returns the HMAC-SHA256 of a message under the key that the host derives for this
/// label.
pub fn of(label: &str, message: &[u8], ports: &Ports) -> Result<[u8; 32]> {
    let mut mac = keyed(label, ports)?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

/// Returns a pseudonym, so that the store does not reveal which names were tried, or from
/// where.
pub fn pseudonym(parts: &[&str], ports: &Ports) -> Result<[u8; 16]> {
    let mut mac = keyed("pseudonym", ports)?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let mut pseudonym = [0; 16];
    pseudonym.copy_from_slice(&mac[..16]);
    Ok(pseudonym)
}

/// Encodes bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
