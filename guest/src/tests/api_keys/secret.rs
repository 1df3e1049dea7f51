//! The secret of a key: its bits, what is stored of it, and what a wrong one costs.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{Watched, create, listed, try_key, user};
use crate::domain::credentials::api_key::ApiKey;
use crate::ports::Ports;
use crate::testing::World;

#[test]
fn a_secret_is_shown_once_and_never_stored() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let secret = key["api_key"].as_str().unwrap();
    try_key(&world, &key).unwrap();
    let listed = json!(listed(&world, &alice)).to_string();
    let encoded = secret.strip_prefix("uak_").unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(encoded).unwrap();
    let hex = base16ct::lower::encode_string(&bytes[16..]);
    let stored = world.dump("");
    let hash = stored.split(r#""hash":""#).nth(1).unwrap();
    let hash = &hash[..64];
    assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()));
    let told = json!(*world.audited.borrow()).to_string();
    for place in [&stored, &told, &listed] {
        assert!(!place.contains(secret) && !place.contains(encoded) && !place.contains(&hex));
    }
    assert!(!listed.contains(hash) && !told.contains(hash));
}

#[test]
fn every_secret_has_256_random_bits() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let key = create(&world, &alice, &[]);
        let encoded = key["api_key"].as_str().unwrap().strip_prefix("uak_");
        let bytes = URL_SAFE_NO_PAD.decode(encoded.unwrap()).unwrap();
        assert_eq!(bytes.len(), 16 + 32);
        assert!(seen.insert(bytes[16..32].to_vec()) && seen.insert(bytes[32..].to_vec()));
    }
}

#[test]
fn keys_with_any_character_changed_are_refused() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let secret = key["api_key"].as_str().unwrap();
    for index in 0..secret.len() {
        let mut changed = secret.as_bytes().to_vec();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = json!({"api_key": String::from_utf8(changed).unwrap()});
        assert_eq!(try_key(&world, &changed), Err(-32001), "{index}");
    }
    for changed in [
        "",
        "uak_",
        &format!("{secret}A"),
        &format!("{secret}="),
        &"a".repeat(1 << 20),
    ] {
        let changed = json!({"api_key": changed});
        assert_eq!(try_key(&world, &changed), Err(-32001));
    }
}

#[test]
fn known_and_unknown_key_ids_cost_the_same_store_calls() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let key = create(&world, &alice, &[]);
    let secret = key["api_key"].as_str().unwrap();
    let calls = |secret: &str| {
        let store = Watched::new(&world);
        let ports = Ports {
            store: &store,
            ..world.ports()
        };
        assert!(ApiKey::authenticate(secret, &ports).unwrap().is_none());
        store.calls.get()
    };
    let wrong_secret = format!("{}AAAA", &secret[..secret.len() - 4]);
    let wrong_id = format!("uak_AAAA{}", &secret[8..]);
    assert_eq!((calls(&wrong_secret), calls(&wrong_id)), (1, 1));
}
