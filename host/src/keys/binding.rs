//! Binds a store to its master key. Opening a store with a different key is refused,
//! since no password or token in it would verify, and new records would be written
//! under the wrong key.
//!
//! All keys of a store are derived from its *root secret*. In a store whose master key
//! was never rotated, that is the master secret itself. A rotation encrypts the root
//! secret under the new master secret and keeps it in the store, so that all derived
//! keys stay the same and the old master secret no longer opens the store.

use crate::hex::hex;
use crate::keys::error::ClaimError;
use crate::keys::master_key::Keys;
use crate::keys::records::{KEY_CHECK, Lock, RESTORING, ROOT_KEY};
use crate::store::{Entry, Expect, Mutation, Outcome, Store, StoreError};

use crate::keys::wrap::WrappedRoot;

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
            return if self.check() == lock.check {
                Ok(self.clone())
            } else {
                Err(ClaimError::OtherKey)
            };
        };
        let root = WrappedRoot::parse(root)
            .ok_or(ClaimError::Damaged)?
            .unwrap(self, &lock.check)?;
        if root.check() == lock.check {
            Ok(root)
        } else {
            Err(ClaimError::Damaged)
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
