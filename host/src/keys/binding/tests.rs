use futures_util::future::join_all;

use super::*;
use crate::store::{MemoryStore, SqliteStore};

fn key() -> Keys {
    Keys::ephemeral().unwrap()
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
    let keys: Vec<Keys> = (0..8).map(|_| key()).collect();
    let claims = keys.iter().map(|key| key.claim(&store));
    let claims = join_all(claims).await;
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
    for (key, claim) in keys.iter().zip(claims) {
        assert_eq!(key.claim(&store).await.is_ok(), claim.is_ok());
    }
}

#[tokio::test]
async fn after_a_rotation_only_the_new_key_opens_and_derives_the_same_keys() {
    let store = MemoryStore::new();
    let keys: Vec<Keys> = (0..4).map(|_| key()).collect();
    let derived = keys[0].claim(&store).await.unwrap().derive("x");
    for (at, new) in keys.iter().enumerate().skip(1) {
        keys[at - 1].rotate(new, &store).await.unwrap();
        let effective = new.claim(&store).await.unwrap();
        assert_eq!(effective.derive("x"), derived);
        for old in &keys[..at] {
            let refused = old.claim(&store).await.unwrap_err();
            assert!(matches!(refused, ClaimError::Rotated), "{refused}");
            let refused = old.rotate(&key(), &store).await.unwrap_err();
            assert!(matches!(refused, ClaimError::Rotated), "{refused}");
        }
        let stranger = key().claim(&store).await.unwrap_err();
        assert!(matches!(stranger, ClaimError::OtherKey), "{stranger}");
    }
    let same = keys[3].rotate(&keys[3], &store).await.unwrap_err();
    assert!(matches!(same, ClaimError::SameKey), "{same}");
}

#[tokio::test]
async fn one_of_many_concurrent_rotations_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("x.db")).unwrap();
    let mut master = key();
    let derived = master.claim(&store).await.unwrap().derive("x");
    for _ in 0..5 {
        let new: Vec<Keys> = (0..8).map(|_| key()).collect();
        let rotations = join_all(new.iter().map(|new| master.rotate(new, &store))).await;
        let won: Vec<&Keys> = new
            .iter()
            .zip(&rotations)
            .filter_map(|(new, outcome)| outcome.is_ok().then_some(new))
            .collect();
        let [winner] = won[..] else {
            panic!("{rotations:?}");
        };
        assert_eq!(winner.claim(&store).await.unwrap().derive("x"), derived);
        let losers = rotations
            .iter()
            .filter_map(|outcome| outcome.as_ref().err());
        for error in losers {
            let is_told = matches!(error, ClaimError::LostRotation | ClaimError::Rotated);
            assert!(is_told, "{error}");
        }
        master = winner.clone();
    }
}

#[tokio::test]
async fn a_tampered_root_key_is_rejected() {
    let store = MemoryStore::new();
    let (old, new) = (key(), key());
    let _ = old.claim(&store).await.unwrap();
    old.rotate(&new, &store).await.unwrap();
    let wrapped = value(&store, ROOT_KEY).await;
    let check = value(&store, KEY_CHECK).await;

    // The root secret itself is not stored anywhere.
    let text = String::from_utf8(wrapped.clone()).unwrap();
    assert!(!text.contains(&hex(old.secret())));

    let parsed: serde_json::Value = serde_json::from_slice(&wrapped).unwrap();
    for field in ["nonce", "sealed"] {
        let digits = parsed[field].as_str().unwrap();
        for at in [0, digits.len() / 2, digits.len() - 1] {
            let mut flipped = digits.to_owned().into_bytes();
            flipped[at] = if flipped[at] == b'0' { b'1' } else { b'0' };
            let mut changed = parsed.clone();
            changed[field] = String::from_utf8(flipped).unwrap().into();
            write(&store, ROOT_KEY, changed.to_string().into_bytes()).await;
            let refused = new.claim(&store).await.unwrap_err();
            assert!(matches!(refused, ClaimError::Damaged), "{field} {at}");
        }
    }
    for broken in [&b""[..], b"{}", b"x"] {
        write(&store, ROOT_KEY, broken.to_vec()).await;
        for key in [&old, &new] {
            let refused = key.claim(&store).await.unwrap_err();
            assert!(matches!(refused, ClaimError::Damaged), "{refused}");
        }
    }
    // The record of another store, under the same master key.
    let other = MemoryStore::new();
    let other_old = key();
    let _ = other_old.claim(&other).await.unwrap();
    other_old.rotate(&new, &other).await.unwrap();
    write(&store, ROOT_KEY, value(&other, ROOT_KEY).await).await;
    let refused = new.claim(&store).await.unwrap_err();
    assert!(matches!(refused, ClaimError::Damaged), "{refused}");
    // Without its key check the store cannot be claimed.
    write(&store, ROOT_KEY, wrapped.clone()).await;
    let gone = Mutation {
        put: None,
        ..put(KEY_CHECK, Expect::Any, Vec::new())
    };
    store.commit(vec![gone]).await.unwrap();
    let refused = old.claim(&store).await.unwrap_err();
    assert!(matches!(refused, ClaimError::Damaged), "{refused}");

    write(&store, KEY_CHECK, check).await;
    assert!(new.claim(&store).await.is_ok());
}

#[tokio::test]
async fn a_store_cannot_be_claimed_during_a_restore() {
    let store = MemoryStore::new();
    let key = key();
    let _ = key.claim(&store).await.unwrap();
    write(&store, RESTORING, Vec::new()).await;
    for refused in [
        key.claim(&store).await.map(drop),
        key.rotate(&self::key(), &store).await,
    ] {
        assert!(matches!(refused, Err(ClaimError::Restoring)), "{refused:?}");
    }
}
