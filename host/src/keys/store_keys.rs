//! The keys of one store. None of them enters the sandbox: the host computes what the
//! component needs them for, each under the label of its purpose.

use std::fmt;

use zeroize::Zeroizing;

use crate::keys::label::Label;
use crate::keys::master_key::KeyError;
use crate::keys::secret::{Secret, hmac_sha256};

/// The keys of one store, derived from its root secret, which never enters the sandbox,
/// the store or a log. [`MasterKey::unlock`](crate::MasterKey::unlock) returns them, and
/// binds the store to its master key. Cheap to clone; the secret is wiped with the last
/// clone and never printed.
#[derive(Clone)]
pub struct StoreKeys {
    pub(super) root: Secret,
}

impl StoreKeys {
    /// Returns random keys that are lost when the process ends. They are for stores in
    /// memory only: nothing binds the store to them.
    pub fn ephemeral() -> Result<Self, KeyError> {
        let root = Secret::random().map_err(KeyError::random)?;
        Ok(Self { root })
    }

    /// Returns the key with a label of the component.
    pub(crate) fn of_component(&self, label: Label<'_>) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.derive(label.as_str()))
    }

    /// Returns the HMAC-SHA256 of `message` under the key with a label of the component.
    pub(crate) fn mac(&self, label: Label<'_>, message: &[u8]) -> [u8; 32] {
        hmac_sha256(self.of_component(label).as_slice(), message)
    }

    /// Returns the seeds for a signing key with a label of the component. Their key has a
    /// label of the host, so no code that the component can ask for is one of them.
    pub(crate) fn signing_seeds(
        &self,
        algorithm: &str,
        label: Label<'_>,
    ) -> impl Iterator<Item = Zeroizing<[u8; 32]>> {
        let label = format!("host/signing/{algorithm}/{}", label.as_str());
        let key = Zeroizing::new(self.derive(&label));
        (0..=u8::MAX).map(move |number| Zeroizing::new(hmac_sha256(key.as_slice(), &[number])))
    }

    /// Returns the HMAC-SHA256 of `label` under the root secret.
    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        self.root.derive(label)
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_hmac_under_the_key_of_its_label() {
        let keys = StoreKeys::ephemeral().unwrap();
        let label = Label::parse("a label").unwrap();
        let key = keys.derive("a label");
        assert_eq!(*keys.of_component(label), key);
        assert_eq!(keys.mac(label, b"text"), hmac_sha256(&key, b"text"));
        let other = Label::parse("another label").unwrap();
        assert_ne!(keys.mac(other, b"text"), keys.mac(label, b"text"));
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let keys = StoreKeys::ephemeral().unwrap();
        assert_eq!(format!("{keys:?}"), "StoreKeys { .. }");
    }
}
