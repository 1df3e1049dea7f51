//! Which master key a store belongs to. Under another one no password and no
//! token in it would be valid, and what is written then would not be under the
//! right one: so the two are not brought together at all.

use crate::keys::{Keys, hex};
use crate::store::{Expect, Mutation, Store, StoreError};

/// Where the store says under which key it is written. The component's own
/// records have other prefixes.
pub(crate) const KEY_CHECK: &str = "host/key-check";

/// Why a master key cannot be used with a store.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store belongs to another key.
    #[error(
        "this database was written under another master key: put that key back, name it with \
         `--master-key-file FILE` or USER_AUTH_MASTER_KEY, or begin with another database"
    )]
    OtherKey,
    /// The store could not say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Makes `store` this key's own if it is no other's: the first key to claim
    /// a store is the only one from then on.
    pub async fn claim(&self, store: &dyn Store) -> Result<(), ClaimError> {
        let check = hex(&self.derive("key-check")).into_bytes();
        loop {
            let found = store.get(&[KEY_CHECK.to_owned()]).await?;
            match found.into_iter().flatten().next() {
                Some(entry) if entry.value == check => return Ok(()),
                Some(_) => return Err(ClaimError::OtherKey),
                None => {}
            }
            // Of several that find nothing one is first; the next look tells
            // them which.
            store
                .commit(vec![Mutation {
                    key: KEY_CHECK.to_owned(),
                    expect: Expect::Absent,
                    put: Some(check.clone()),
                    ttl: None,
                }])
                .await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SqliteStore;

    #[tokio::test]
    async fn a_store_belongs_to_the_first_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("x.db")).unwrap();
        let keys: Vec<Keys> = (0..8).map(|_| Keys::ephemeral().unwrap()).collect();
        let claims = keys.iter().map(|key| key.claim(&store));
        let claims = futures_util::future::join_all(claims).await;
        assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        for (key, claim) in keys.iter().zip(claims) {
            assert_eq!(key.claim(&store).await.is_ok(), claim.is_ok());
        }
    }
}
