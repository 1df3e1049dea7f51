//! Secrets that name the record which they belong to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::ports::Ports;
use crate::types::id::Id;
use crate::types::mac;
use crate::types::secret::Secret;

const ID_BYTES: usize = 16;
const BYTES: usize = ID_BYTES + 32;

/// The id of a record and 256 random bits, of which only a keyed hash is stored.
pub struct RecordSecret {
    id: Id,
    bytes: Zeroizing<[u8; BYTES]>,
}

impl RecordSecret {
    /// Creates the secret of a record.
    pub fn create(id: Id, ports: &Ports) -> Result<RecordSecret> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        bytes[..ID_BYTES].copy_from_slice(id.as_bytes());
        ports.random.fill(&mut bytes[ID_BYTES..])?;
        Ok(RecordSecret { id, bytes })
    }

    /// Parses a text that has the form of a secret with this prefix.
    pub fn parse(text: &str, prefix: &str) -> Option<RecordSecret> {
        // A secret copied from a message may include the end of its line.
        let encoded = text.trim().strip_prefix(prefix)?;
        let mut bytes = Zeroizing::new([0; BYTES]);
        if URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()) != Ok(BYTES) {
            return None;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&bytes[..ID_BYTES]);
        let id = Id::from_bytes(id);
        Some(RecordSecret { id, bytes })
    }

    /// Returns the record that the secret claims to be for.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the text that its owner receives. The prefix lets secret scanners identify it.
    pub fn to_secret(&self, prefix: &str) -> Secret {
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.bytes.as_slice()));
        Secret::new(format!("{prefix}{}", *encoded))
    }

    /// Returns the hash to store, under the key with this label.
    pub fn hash(&self, label: &str, ports: &Ports) -> Result<String> {
        let hash = mac::of(label, self.bytes.as_slice(), ports)?;
        Ok(mac::to_hex(&hash))
    }

    /// Reports whether this is the hash of the secret under the key with this label.
    pub fn has_hash(&self, hash: &str, label: &str, ports: &Ports) -> Result<bool> {
        let own = self.hash(label, ports)?;
        Ok(hash.as_bytes().ct_eq(own.as_bytes()).into())
    }
}
