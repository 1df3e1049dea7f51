//! Binds a store to its master key. Opening a store with a different key is refused,
//! since no password or token in it would verify, and new records would be written
//! under the wrong key.
//!
//! All keys of a store are derived from its *root secret*. In a store whose master key
//! was never rotated, that is the master secret itself. A rotation encrypts the root
//! secret under the new master secret and keeps it in the store, so that all derived
//! keys stay the same and the old master secret no longer opens the store.

use crate::hex::hex;
use crate::keys::master_key::Keys;
use crate::store::{Entry, Expect, Mutation, Outcome, Store, StoreError};

use crate::keys::wrap::WrappedRoot;

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

/// Reasons why a master key cannot be used with a store.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
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

/// The records that bind a store, or a backup of one, to its key.
#[derive(Clone)]
pub(crate) struct Lock {
    /// The value of [`KEY_CHECK`].
    pub(crate) check: Vec<u8>,
    /// The value of [`ROOT_KEY`], after a rotation.
    pub(crate) root: Option<Vec<u8>>,
}

/// The host's records, read as one snapshot.
struct Found {
    check: Option<Entry>,
    root: Option<Entry>,
    restoring: Option<Entry>,
}

impl Keys {
    /// Binds `store` to this key unless it is bound to another: the first key to claim
    /// a store remains the only one until it is rotated. Returns the keys to use with
    /// the store, which after a rotation are not those of this master key.
    pub async fn claim(&self, store: &dyn Store) -> Result<Keys, ClaimError> {
        loop {
            let found = Found::read(store).await?;
            if found.restoring.is_some() {
                return Err(ClaimError::Restoring);
            }
            if let Some(lock) = found.lock()? {
                return self.unlock(&lock);
            }
            // Of several processes that find no record one is first; the next read
            // tells the others which.
            let claim = put(KEY_CHECK, Expect::Absent, self.check());
            store.commit(vec![claim]).await?;
        }
    }

    /// Makes `new` the master key of a store that is bound to this one, which from then
    /// on no longer opens it. All derived keys stay the same, so processes that have
    /// the store open are unaffected. Of two concurrent rotations, one is refused.
    pub async fn rotate(&self, new: &Keys, store: &dyn Store) -> Result<(), ClaimError> {
        let found = Found::read(store).await?;
        if found.restoring.is_some() {
            return Err(ClaimError::Restoring);
        }
        let lock = found.lock()?.ok_or(ClaimError::OtherKey)?;
        let root_key = self.unlock(&lock)?;
        if self.check() == new.check() {
            return Err(ClaimError::SameKey);
        }
        let wrapped = WrappedRoot::new(&root_key, new, self, &lock)?;
        let as_found = |entry: Option<Entry>| match entry {
            Some(entry) => Expect::At(entry.version),
            None => Expect::Absent,
        };
        // The check is rewritten too, so that a process that read either record before
        // loses.
        let batch = vec![
            put(KEY_CHECK, as_found(found.check), lock.check),
            put(ROOT_KEY, as_found(found.root), wrapped.to_bytes()),
        ];
        match store.commit(batch).await? {
            Outcome::Committed => Ok(()),
            Outcome::Conflict(_) => self.lost(new, store).await,
        }
    }

    /// Returns whether a store still belongs to these keys and is not being restored. A
    /// store that was never claimed belongs to any keys.
    pub(crate) async fn still_open(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let found = Found::read(store).await?;
        let is_ours = found.check.is_none_or(|check| check.value == self.check());
        Ok(is_ours && found.restoring.is_none())
    }

    /// Returns the keys that `lock` is for, if this master key opens it.
    pub(crate) fn unlock(&self, lock: &Lock) -> Result<Keys, ClaimError> {
        let Some(root) = &lock.root else {
            return match self.check() == lock.check {
                true => Ok(self.clone()),
                false => Err(ClaimError::OtherKey),
            };
        };
        let root = WrappedRoot::parse(root)
            .ok_or(ClaimError::Damaged)?
            .unwrap(self, &lock.check)?;
        match root.check() == lock.check {
            true => Ok(root),
            false => Err(ClaimError::Damaged),
        }
    }

    /// Returns a value that identifies this key and reveals nothing about it.
    pub(crate) fn check(&self) -> Vec<u8> {
        hex(&self.derive("key-check")).into_bytes()
    }

    /// Returns the error for a rotation that lost to another one, which may have been
    /// to the same key.
    async fn lost(&self, new: &Keys, store: &dyn Store) -> Result<(), ClaimError> {
        match new.claim(store).await {
            Ok(_) => Ok(()),
            Err(ClaimError::Store(error)) => Err(error.into()),
            Err(_) => Err(ClaimError::LostRotation),
        }
    }
}

impl Lock {
    /// Reads the lock of a store that has been claimed.
    pub(crate) async fn read(store: &dyn Store) -> Result<Lock, ClaimError> {
        let found = Found::read(store).await?;
        if found.restoring.is_some() {
            return Err(ClaimError::Restoring);
        }
        found.lock()?.ok_or(ClaimError::OtherKey)
    }
}

impl Found {
    /// Returns the lock of the store, or `None` if it was never claimed.
    fn lock(&self) -> Result<Option<Lock>, ClaimError> {
        let root = self.root.as_ref().map(|root| root.value.clone());
        match &self.check {
            Some(check) => Ok(Some(Lock {
                check: check.value.clone(),
                root,
            })),
            None if root.is_some() => Err(ClaimError::Damaged),
            None => Ok(None),
        }
    }

    async fn read(store: &dyn Store) -> Result<Found, StoreError> {
        let keys = [KEY_CHECK, ROOT_KEY, RESTORING].map(str::to_owned);
        let mut found = store.get(&keys).await?.into_iter();
        let mut next = || found.next().flatten();
        Ok(Found {
            check: next(),
            root: next(),
            restoring: next(),
        })
    }
}

fn put(key: &str, expect: Expect, value: Vec<u8>) -> Mutation {
    Mutation {
        key: key.to_owned(),
        expect,
        put: Some(value),
        ttl: None,
    }
}

#[cfg(test)]
mod tests;
