//! The secrets of confidential clients (RFC 6749 section 2.3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::client_id::ClientId;
use crate::error::Result;
use crate::ports::Ports;
use crate::types::mac;
use crate::types::secret::Secret;

/// Lets secret scanners identify the secret.
const PREFIX: &str = "uas_";

/// The stored form of a client secret: a keyed hash of the secret and its client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientSecretHash(String);

impl ClientSecretHash {
    /// Creates a secret of a client. It has no character that the encoding of forms
    /// changes: some clients leave that encoding out in `Basic`.
    pub fn create(client_id: &ClientId, ports: &Ports) -> Result<(ClientSecretHash, Secret)> {
        let mut bytes = Zeroizing::new([0; 32]);
        ports.random.fill(bytes.as_mut_slice())?;
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        let secret = Secret::new(format!("{PREFIX}{}", *encoded));
        Ok((hash(client_id, secret.expose(), ports)?, secret))
    }

    /// Reports whether this is the hash of the secret.
    pub fn is_of(&self, client_id: &ClientId, secret: &str, ports: &Ports) -> Result<bool> {
        let shown = hash(client_id, secret, ports)?;
        Ok(self.0.as_bytes().ct_eq(shown.0.as_bytes()).into())
    }
}

fn hash(client_id: &ClientId, secret: &str, ports: &Ports) -> Result<ClientSecretHash> {
    let message = Zeroizing::new(format!("{client_id} {secret}"));
    let hash = mac::of("client-secret", message.as_bytes(), ports)?;
    Ok(ClientSecretHash(URL_SAFE_NO_PAD.encode(hash)))
}
