//! Reasons why a master key does not unlock a store.

use crate::store::StoreError;

/// Reasons why a master key cannot be used with a store.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The store belongs to another key.
    #[error(
        "this database was written under another master key: restore that key, name it with \
         `--master-key-file FILE` or USER_AUTH_MASTER_KEY, or start with another database"
    )]
    OtherKey,
    /// The store belonged to this key before a rotation.
    #[error(
        "the master key of this database was rotated, and this is an earlier one: replace it with \
         the new one, or name that with `--master-key-file FILE` or USER_AUTH_MASTER_KEY"
    )]
    Rotated,
    /// The key records of the store are malformed.
    #[error("the master key record of this database is damaged: restore a backup")]
    Damaged,
    /// A restore is incomplete.
    #[error(
        "a backup is being restored into this database, or a restore was interrupted: wait for its \
         end, or run `user-auth restore FILE --replace`"
    )]
    Restoring,
    /// Another process rotated the master key at the same moment.
    #[error(
        "another process has just rotated the master key of this database: the new key of this \
         rotation does not open it"
    )]
    LostRotation,
    /// The new master key equals the current one.
    #[error("the new master key is the one in use: a rotation needs a different one")]
    SameKey,
    /// The store reported an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}
