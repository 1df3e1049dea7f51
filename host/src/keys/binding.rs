//! Binds a store to its master key. Opening a store with a different key is refused,
//! since no password or token in it would verify, and new records would be written
//! under the wrong key.
//!
//! All keys of a store are derived from its *root secret*. In a store whose master key
//! was never rotated, that is the master secret itself. A rotation encrypts the root
//! secret under the new master secret and keeps it in the store, so that all derived
//! keys stay the same and the old master secret no longer opens the store.

use crate::keys::error::UnlockError;
use crate::keys::master_key::MasterKey;
use crate::keys::records::{KEY_CHECK, Lock, RESTORING, ROOT_KEY};
use crate::keys::store_keys::StoreKeys;
use crate::keys::wrap::WrappedRoot;
use crate::store::{Entry, Expect, Mutation, Outcome, Store, StoreError};

/// The host's records, read as one snapshot.
struct Found {
    check: Option<Entry>,
    root: Option<Entry>,
    restoring: Option<Entry>,
}

impl MasterKey {
    /// Returns the keys of `store`, and binds the store to this master key unless it is
    /// bound to another: the first master key to unlock a store remains the only one
    /// until it is rotated.
    pub async fn unlock(&self, store: &dyn Store) -> Result<StoreKeys, UnlockError> {
        loop {
            let found = Found::read(store).await?;
            if found.restoring.is_some() {
                return Err(UnlockError::Restoring);
            }
            if let Some(lock) = found.lock()? {
                return self.open(&lock);
            }
            // Of several processes that find no record one is first; the next read
            // tells the others which.
            let bind = put(KEY_CHECK, Expect::Absent, self.secret.check());
            store.commit(vec![bind]).await?;
        }
    }

    /// Makes `new` the master key of a store that is bound to this one, which from then
    /// on no longer opens it. All derived keys stay the same, so processes that have
    /// the store open are unaffected. Of two concurrent rotations, one is refused.
    pub async fn rotate(&self, new: &MasterKey, store: &dyn Store) -> Result<(), UnlockError> {
        let found = Found::read(store).await?;
        if found.restoring.is_some() {
            return Err(UnlockError::Restoring);
        }
        let lock = found.lock()?.ok_or(UnlockError::OtherKey)?;
        let keys = self.open(&lock)?;
        if self.secret.check() == new.secret.check() {
            return Err(UnlockError::SameKey);
        }
        let wrapped = WrappedRoot::new(&keys, new, self, &lock)?;
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

    /// Returns the keys that `lock` is for, if this master key opens it.
    pub(crate) fn open(&self, lock: &Lock) -> Result<StoreKeys, UnlockError> {
        let Some(root) = &lock.root else {
            if self.secret.check() != lock.check {
                return Err(UnlockError::OtherKey);
            }
            let root = self.secret.clone();
            return Ok(StoreKeys { root });
        };
        let keys = WrappedRoot::parse(root)
            .ok_or(UnlockError::Damaged)?
            .unwrap(self, &lock.check)?;
        if keys.root.check() == lock.check {
            Ok(keys)
        } else {
            Err(UnlockError::Damaged)
        }
    }

    /// Returns the error for a rotation that lost to another one, which may have been
    /// to the same key.
    async fn lost(&self, new: &MasterKey, store: &dyn Store) -> Result<(), UnlockError> {
        match new.unlock(store).await {
            Ok(_) => Ok(()),
            Err(UnlockError::Store(error)) => Err(error.into()),
            Err(_) => Err(UnlockError::LostRotation),
        }
    }
}

impl StoreKeys {
    /// Returns whether a store still has these keys and is not being restored. A store
    /// that was never unlocked may have any keys.
    pub(crate) async fn still_open(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let found = Found::read(store).await?;
        let is_ours = found
            .check
            .is_none_or(|check| check.value == self.root.check());
        Ok(is_ours && found.restoring.is_none())
    }
}

impl Lock {
    /// Reads the lock of a store that is bound to a master key.
    pub(crate) async fn read(store: &dyn Store) -> Result<Lock, UnlockError> {
        let found = Found::read(store).await?;
        if found.restoring.is_some() {
            return Err(UnlockError::Restoring);
        }
        found.lock()?.ok_or(UnlockError::OtherKey)
    }
}

impl Found {
    /// Returns the lock of the store, or `None` if it was never unlocked.
    fn lock(&self) -> Result<Option<Lock>, UnlockError> {
        let root = self.root.as_ref().map(|root| root.value.clone());
        match &self.check {
            Some(check) => Ok(Some(Lock {
                check: check.value.clone(),
                root,
            })),
            None if root.is_some() => Err(UnlockError::Damaged),
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
