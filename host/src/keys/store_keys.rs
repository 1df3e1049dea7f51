//! The keys of one store.

use std::fmt;

use crate::keys::master_key::KeyError;
use crate::keys::secret::Secret;

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

    /// Returns the HMAC-SHA256 of `label` for the component, or `None` if the label
    /// begins with `host/`, since those are the host's own.
    pub(crate) fn derive_for_component(&self, label: &str) -> Option<[u8; 32]> {
        (!label.starts_with("host/")).then(|| self.derive(label))
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
    fn the_component_cannot_derive_host_keys() {
        let keys = StoreKeys::ephemeral().unwrap();
        assert_eq!(keys.derive_for_component("x"), Some(keys.derive("x")));
        for label in ["host/root-key", "host/backup"] {
            assert_eq!(keys.derive_for_component(label), None);
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let keys = StoreKeys::ephemeral().unwrap();
        assert_eq!(format!("{keys:?}"), "StoreKeys { .. }");
    }
}
