//! The host's own records in a store. A component can neither read nor write them.

/// Key of the record that identifies the root secret of the store. The component's own
/// records have other prefixes.
pub(crate) const KEY_CHECK: &str = "host/key-check";
/// Key of the record with the root secret, encrypted under the current master secret.
pub(crate) const ROOT_KEY: &str = "host/root-key";
/// Key of the mark that is present during a restore, or after an interrupted one.
pub(crate) const RESTORING: &str = "host/restoring";
/// Key of a counter that is incremented to test whether the store accepts writes. Its
/// value has no meaning, and it expires.
pub(crate) const READY: &str = "host/ready";

/// Prefix of the records with signing keys that cannot be derived, each encrypted.
pub(crate) const SIGNING_KEY: &str = "host/signing-key/";

/// The records that bind a store, or a backup of one, to its key.
#[derive(Clone)]
pub(crate) struct Lock {
    /// The value of [`KEY_CHECK`].
    pub(crate) check: Vec<u8>,
    /// The value of [`ROOT_KEY`], after a rotation.
    pub(crate) root: Option<Vec<u8>>,
}
