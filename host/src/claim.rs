//! Which master key a store belongs to, and what opens it. Under another key no
//! password and no token in it would be valid, and what is written then would not
//! be under the right one: so the two are not brought together at all.
//!
//! All keys of a store are derived from its *root secret*. In a store whose master
//! key was never rotated that is the master secret itself. A rotation encrypts the
//! root secret under the new master secret and keeps that in the store, so that
//! all that was derived stays as it is, and the old master secret opens nothing.

mod wrap;

use crate::keys::{Keys, hex};
use crate::store::{Entry, Expect, Mutation, Outcome, Store, StoreError};

use self::wrap::WrappedRoot;

/// Where the store says under which root secret it is written. The component's
/// own records have other prefixes.
pub(crate) const KEY_CHECK: &str = "host/key-check";
/// Where the root secret is, under the master secret that was rotated to.
pub(crate) const ROOT_KEY: &str = "host/root-key";
/// There while a restore is under way, or was broken off.
pub(crate) const RESTORING: &str = "host/restoring";
/// A counter that is raised to find out whether the store can be written. It says
/// nothing, and expires.
pub(crate) const READY: &str = "host/ready";

/// Why a master key cannot be used with a store.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store belongs to another key.
    #[error(
        "this database was written under another master key: put that key back, name it with \
         `--master-key-file FILE` or USER_AUTH_MASTER_KEY, or begin with another database"
    )]
    OtherKey,
    /// The store belonged to this key until another took its place.
    #[error(
        "the master key of this database was rotated, and this is the one from before: put the \
         new one in its place, or name it with `--master-key-file FILE` or USER_AUTH_MASTER_KEY"
    )]
    Rotated,
    /// What the store has of its key is not as it was written.
    #[error("what this database holds of its master key is damaged: restore a backup")]
    Damaged,
    /// A restore has not come to its end.
    #[error(
        "a backup is being restored into this database, or a restore was broken off: wait for its \
         end, or run `user-auth restore FILE --replace`"
    )]
    Restoring,
    /// Another process changed the master key at the same moment.
    #[error(
        "another process has just rotated the master key of this database: the new key of this \
         rotation opens nothing"
    )]
    LostRotation,
    /// The new master key is the one that there is.
    #[error("the new master key is the one in use: a rotation takes another")]
    SameKey,
    /// The store could not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a store, or a backup of one, says of its key.
#[derive(Clone)]
pub(crate) struct Lock {
    /// The value of [`KEY_CHECK`].
    pub(crate) check: Vec<u8>,
    /// The value of [`ROOT_KEY`], after a rotation.
    pub(crate) root: Option<Vec<u8>>,
}

/// The records of the host, as one snapshot.
struct Found {
    check: Option<Entry>,
    root: Option<Entry>,
    restoring: Option<Entry>,
}

impl Keys {
    /// Makes `store` this key's own if it is no other's: the first key to claim
    /// a store is the only one from then on, until it is rotated. Gives the keys
    /// to use with the store, which after a rotation are not this master key's.
    pub async fn claim(&self, store: &dyn Store) -> Result<Keys, ClaimError> {
        loop {
            let found = Found::read(store).await?;
            if found.restoring.is_some() {
                return Err(ClaimError::Restoring);
            }
            if let Some(lock) = found.lock()? {
                return self.unlock(&lock);
            }
            // Of several that find nothing one is first; the next look tells
            // them which.
            let claim = put(KEY_CHECK, Expect::Absent, self.check());
            store.commit(vec![claim]).await?;
        }
    }

    /// Makes `new` the master key of a store that is this one's: from then on
    /// this one opens it no more. All that is derived stays as it is, and who has
    /// the store open need not notice. Of two rotations at once, one is refused.
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
        // The check is written anew as well: whoever read either before has lost.
        let batch = vec![
            put(KEY_CHECK, as_found(found.check), lock.check),
            put(ROOT_KEY, as_found(found.root), wrapped.to_bytes()),
        ];
        match store.commit(batch).await? {
            Outcome::Committed => Ok(()),
            Outcome::Conflict(_) => self.lost(new, store).await,
        }
    }

    /// Whether a store that these keys were used with still is theirs, and not being
    /// restored into. One that nobody has claimed is anybody's.
    pub(crate) async fn still_open(&self, store: &dyn Store) -> Result<bool, StoreError> {
        let found = Found::read(store).await?;
        let is_ours = found.check.is_none_or(|check| check.value == self.check());
        Ok(is_ours && found.restoring.is_none())
    }

    /// The keys that `lock` is for, if this master key opens it.
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

    /// What tells whether a key is this one, and gives nothing of it away.
    fn check(&self) -> Vec<u8> {
        hex(&self.derive("key-check")).into_bytes()
    }

    /// Another rotation was first; it may have been to the same key.
    async fn lost(&self, new: &Keys, store: &dyn Store) -> Result<(), ClaimError> {
        match new.claim(store).await {
            Ok(_) => Ok(()),
            Err(ClaimError::Store(error)) => Err(error.into()),
            Err(_) => Err(ClaimError::LostRotation),
        }
    }
}

impl Lock {
    /// Of a store that was claimed.
    pub(crate) async fn read(store: &dyn Store) -> Result<Lock, ClaimError> {
        let found = Found::read(store).await?;
        if found.restoring.is_some() {
            return Err(ClaimError::Restoring);
        }
        found.lock()?.ok_or(ClaimError::OtherKey)
    }
}

impl Found {
    /// `None`: nobody has claimed the store.
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
