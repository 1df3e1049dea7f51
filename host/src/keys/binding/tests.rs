use futures_util::future::join_all;

use super::*;
use crate::store::{MemoryStore, SqliteStore};

fn key() -> MasterKey {
    MasterKey::ephemeral().unwrap()
}

async fn value(store: &dyn Store, key: &str) -> Vec<u8> {
    let found = store.get(&[key.to_owned()]).await.unwrap().remove(0);
    found.unwrap().value
}

async fn write(store: &dyn Store, key: &str, value: Vec<u8>) {
    let batch = vec![put(key, Expect::Any, value)];
    assert_eq!(store.commit(batch).await.unwrap(), Outcome::Committed);
}

#[tokio::test]
async fn a_store_belongs_to_the_first_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("x.db")).unwrap();
    let keys: Vec<MasterKey> = (0..8).map(|_| key()).collect();
    let outcomes = join_all(keys.iter().map(|key| key.unlock(&store))).await;
    let won = outcomes.iter().filter(|outcome| outcome.is_ok());
    assert_eq!(won.count(), 1);
    for (key, outcome) in keys.iter().zip(outcomes) {
        assert_eq!(key.unlock(&store).await.is_ok(), outcome.is_ok());
    }
}

#[tokio::test]
async fn after_a_rotation_only_the_new_key_opens_and_derives_the_same_keys() {
    let store = MemoryStore::new();
    let keys: Vec<MasterKey> = (0..4).map(|_| key()).collect();
    let derived = keys[0].unlock(&store).await.unwrap().derive("x");
    for (at, new) in keys.iter().enumerate().skip(1) {
        keys[at - 1].rotate(new, &store).await.unwrap();
        let unlocked = new.unlock(&store).await.unwrap();
        assert_eq!(unlocked.derive("x"), derived);
        for old in &keys[..at] {
            let refused = old.unlock(&store).await.unwrap_err();
            assert!(matches!(refused, UnlockError::Rotated), "{refused}");
            let refused = old.rotate(&key(), &store).await.unwrap_err();
            assert!(matches!(refused, UnlockError::Rotated), "{refused}");
        }
        let stranger = key().unlock(&store).await.unwrap_err();
        assert!(matches!(stranger, UnlockError::OtherKey), "{stranger}");
    }
    let same = keys[3].rotate(&keys[3], &store).await.unwrap_err();
    assert!(matches!(same, UnlockError::SameKey), "{same}");
}

#[tokio::test]
async fn one_of_many_concurrent_rotations_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("x.db")).unwrap();
    let mut master = key();
    let derived = master.unlock(&store).await.unwrap().derive("x");
    for _ in 0..5 {
        let new: Vec<MasterKey> = (0..8).map(|_| key()).collect();
        let rotations = join_all(new.iter().map(|new| master.rotate(new, &store))).await;
        let won: Vec<&MasterKey> = new
            .iter()
            .zip(&rotations)
            .filter_map(|(new, outcome)| outcome.is_ok().then_some(new))
            .collect();
        let [winner] = won[..] else {
            panic!("{rotations:?}");
        };
        assert_eq!(winner.unlock(&store).await.unwrap().derive("x"), derived);
        let losers = rotations
            .iter()
            .filter_map(|outcome| outcome.as_ref().err());
        for error in losers {
            let is_told = matches!(error, UnlockError::LostRotation | UnlockError::Rotated);
            assert!(is_told, "{error}");
        }
        master = winner.clone();
    }
}

#[tokio::test]
async fn a_tampered_root_key_is_rejected() {
    let store = MemoryStore::new();
    let (old, new) = (key(), key());
    old.unlock(&store).await.unwrap();
    old.rotate(&new, &store).await.unwrap();
    let wrapped = value(&store, ROOT_KEY).await;
    let check = value(&store, KEY_CHECK).await;

    // The root secret itself is not stored anywhere.
    let text = String::from_utf8(wrapped.clone()).unwrap();
    assert!(!text.contains(&base16ct::lower::encode_string(old.secret.bytes())));

    let parsed: serde_json::Value = serde_json::from_slice(&wrapped).unwrap();
    for field in ["nonce", "sealed"] {
        let digits = parsed[field].as_str().unwrap();
        for at in [0, digits.len() / 2, digits.len() - 1] {
            let mut flipped = digits.to_owned().into_bytes();
            flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
            let mut changed = parsed.clone();
            changed[field] = String::from_utf8(flipped).unwrap().into();
            write(&store, ROOT_KEY, changed.to_string().into_bytes()).await;
            let refused = new.unlock(&store).await.unwrap_err();
            assert!(matches!(refused, UnlockError::Damaged), "{field} {at}");
        }
    }
    for broken in [&b""[..], b"{}", b"x"] {
        write(&store, ROOT_KEY, broken.to_vec()).await;
        for key in [&old, &new] {
            let refused = key.unlock(&store).await.unwrap_err();
            assert!(matches!(refused, UnlockError::Damaged), "{refused}");
        }
    }
    // The record of another store, under the same master key.
    let other = MemoryStore::new();
    let other_old = key();
    other_old.unlock(&other).await.unwrap();
    other_old.rotate(&new, &other).await.unwrap();
    write(&store, ROOT_KEY, value(&other, ROOT_KEY).await).await;
    let refused = new.unlock(&store).await.unwrap_err();
    assert!(matches!(refused, UnlockError::Damaged), "{refused}");
    // Without its key check the store cannot be unlocked.
    write(&store, ROOT_KEY, wrapped.clone()).await;
    let gone = Mutation {
        put: None,
        ..put(KEY_CHECK, Expect::Any, Vec::new())
    };
    store.commit(vec![gone]).await.unwrap();
    let refused = old.unlock(&store).await.unwrap_err();
    assert!(matches!(refused, UnlockError::Damaged), "{refused}");

    write(&store, KEY_CHECK, check).await;
    assert!(new.unlock(&store).await.is_ok());
}

#[tokio::test]
async fn a_store_cannot_be_unlocked_during_a_restore() {
    let store = MemoryStore::new();
    let key = key();
    key.unlock(&store).await.unwrap();
    write(&store, RESTORING, Vec::new()).await;
    for refused in [
        key.unlock(&store).await.map(drop),
        key.rotate(&self::key(), &store).await,
    ] {
        assert!(
            matches!(refused, Err(UnlockError::Restoring)),
            "{refused:?}"
        );
    }
}
