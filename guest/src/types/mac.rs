//! Message authentication codes under keys that stay with the host.

use crate::error::Result;
use crate::ports::Ports;

/// Returns the HMAC-SHA256 (RFC 2104) of a message under the key with this label.
pub fn of(label: &str, message: &[u8], ports: &Ports) -> Result<[u8; 32]> {
    Ok(ports.keys.mac(label, message)?)
}

/// Returns a pseudonym, so that the store does not reveal which names were tried, or from
/// where.
pub fn pseudonym(parts: &[&str], ports: &Ports) -> Result<[u8; 16]> {
    let mut message = Vec::new();
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    let mac = of("pseudonym", &message, ports)?;
    let mut pseudonym = [0; 16];
    pseudonym.copy_from_slice(&mac[..16]);
    Ok(pseudonym)
}

/// Encodes bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
