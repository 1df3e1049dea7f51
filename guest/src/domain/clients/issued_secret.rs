//! Secrets that clients get from this service, of which only keyed hashes are stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::client_id::ClientId;
use crate::error::Result;
use crate::ports::Ports;
use crate::types::mac;
use crate::types::secret::Secret;

const SECRET_BYTES: usize = 32;

/// A kind of secret. A secret of one kind is never accepted as one of another.
pub struct SecretKind {
    /// Lets secret scanners identify it.
    prefix: &'static str,
    /// The label of the key that it is hashed under.
    label: &'static str,
}

/// What a client authenticates with at the token endpoint (RFC 6749 section 2.3.1).
pub const CLIENT_SECRET: SecretKind = SecretKind {
    prefix: "uas_",
    label: "client-secret-hash",
};

/// What a client manages its registration with (RFC 7592 section 1.2).
pub const REGISTRATION_ACCESS_TOKEN: SecretKind = SecretKind {
    prefix: "uat_",
    label: "registration-access-token-hash",
};

impl SecretKind {
    /// Creates a secret of a client, and returns its keyed hash and the secret: a prefix and
    /// 256 random bits in base64url.
    pub fn issue(&self, client_id: &ClientId, ports: &Ports) -> Result<(String, Secret)> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        ports.random.fill(bytes.as_mut_slice())?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let secret = Secret::new(format!("{}{}", self.prefix, *encoded));
        Ok((self.hash(client_id, &bytes, ports)?, secret))
    }

    /// Reports whether `given` is the secret of the client that has this hash.
    pub fn is_of_hash(
        &self,
        given: &str,
        client_id: &ClientId,
        hash: &str,
        ports: &Ports,
    ) -> Result<bool> {
        let Some(encoded) = given.strip_prefix(self.prefix) else {
            return Ok(false);
        };
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        if URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()) != Ok(SECRET_BYTES) {
            return Ok(false);
        }
        let given = self.hash(client_id, &bytes, ports)?;
        Ok(hash.as_bytes().ct_eq(given.as_bytes()).into())
    }

    /// The id is part of the message, so that the hash is good for no other client.
    fn hash(
        &self,
        client_id: &ClientId,
        secret: &[u8; SECRET_BYTES],
        ports: &Ports,
    ) -> Result<String> {
        let message = Zeroizing::new([client_id.as_bytes(), secret.as_slice()].concat());
        Ok(mac::to_hex(&mac::of(
            self.label,
            message.as_slice(),
            ports,
        )?))
    }
}
