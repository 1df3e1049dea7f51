//! The operations with which other services check and revoke tokens.

use serde_json::json;

use super::{
    INTROSPECT, PASSWORD, bearer, create, holder, introspect, listed, operator, revoke, try_key,
    user,
};
use crate::domain::caller::Principal;
use crate::testing::World;

#[test]
fn introspection_requires_its_own_permission() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:users:*"]);
    let service = user(&world, "service", &[INTROSPECT]);
    let input = json!({"token": alice["access_token"]});
    for (principal, expected) in [
        (Principal::Anonymous, Err(-32001)),
        (bearer(&alice), Err(-32002)),
        (bearer(&service), Ok(json!(true))),
        (
            holder(&create(&world, &service, &[INTROSPECT])),
            Ok(json!(true)),
        ),
    ] {
        let answer = world.run_as(principal, "introspect_token", input.clone());
        assert_eq!(answer.map(|told| told["active"].clone()), expected);
    }
}

#[test]
fn introspection_describes_valid_tokens() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:*", "billing:read"]);
    let access_token = alice["access_token"].as_str().unwrap();
    let verified = world.run("verify_token", json!({"token": access_token}));
    let mut expected = verified.unwrap();
    expected["token_type"] = json!("access_token");
    assert_eq!(introspect(&world, access_token), expected);

    let now = world.now_ms.get() / 1000;
    let refresh_token = alice["refresh_token"].as_str().unwrap();
    let expected = json!({
        "active": true,
        "token_type": "refresh_token",
        "sub": alice["user_id"],
        "sid": alice["session_id"],
        "exp": now + 14 * 24 * 60 * 60,
    });
    assert_eq!(introspect(&world, refresh_token), expected);
    assert_eq!(introspect(&world, refresh_token), expected, "still unused");

    let key = create(
        &world,
        &alice,
        &["billing:*", "user-auth:roles:read", "users:*"],
    );
    let expected = json!({
        "active": true,
        "token_type": "api_key",
        "sub": alice["user_id"],
        "key_id": key["key_id"],
        "scope": "billing:read user-auth:roles:read",
    });
    let told = introspect(&world, key["api_key"].as_str().unwrap());
    assert_eq!(told, expected, "no scope that no role grants");
}

#[test]
fn introspection_of_invalid_tokens_returns_only_inactive() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let refreshed = json!({"refresh_token": alice["refresh_token"]});
    let refreshed = world.run("refresh_token", refreshed).unwrap();
    let key = create(&world, &alice, &["*"]);
    revoke(&world, &key["api_key"]);
    let inactive = json!({"active": false});
    let long = "a".repeat(1 << 20);
    for token in [
        "",
        ".",
        "a.b.c",
        "uak_",
        "uar_",
        "\0",
        &long,
        key["api_key"].as_str().unwrap(),
        alice["refresh_token"].as_str().unwrap(),
    ] {
        assert_eq!(introspect(&world, token), inactive);
    }
    let refresh_token = refreshed["refresh_token"].as_str().unwrap();
    assert_eq!(introspect(&world, refresh_token)["active"], true);
    operator(&world, "disable_user", json!({"username": "alice"}));
    for token in ["access_token", "refresh_token"] {
        let token = refreshed[token].as_str().unwrap();
        assert_eq!(introspect(&world, token), inactive);
    }
}

#[test]
fn revoking_any_token_of_a_session_ends_the_session() {
    for token in ["access_token", "refresh_token"] {
        let world = World::new();
        let alice = user(&world, "alice", &[]);
        let other = json!({"username": "alice", "password": PASSWORD});
        let other = world.run("login", other).unwrap();
        assert_eq!(revoke(&world, &alice[token]), json!({}));
        for token in ["access_token", "refresh_token"] {
            let token = alice[token].as_str().unwrap();
            assert_eq!(introspect(&world, token), json!({"active": false}));
        }
        let other = other["access_token"].as_str().unwrap();
        assert_eq!(introspect(&world, other)["active"], true);
    }
}

#[test]
fn revoking_an_api_key_ends_that_key() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let (key, other) = (
        create(&world, &alice, &["*"]),
        create(&world, &alice, &["*"]),
    );
    assert_eq!(revoke(&world, &key["api_key"]), json!({}));
    assert_eq!(try_key(&world, &key), Err(-32001));
    assert!(try_key(&world, &other).is_ok());
    assert_eq!(listed(&world, &alice).len(), 1);
}

#[test]
fn revoking_an_unknown_token_succeeds_and_changes_nothing() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let secret = key["api_key"].as_str().unwrap();
    let before = world.dump("");
    let wrong = format!("{}AAAA", &secret[..secret.len() - 4]);
    for token in ["", "a.b.c", "uak_", &wrong, &"a".repeat(1 << 20)] {
        assert_eq!(revoke(&world, &json!(token)), json!({}));
    }
    assert_eq!(before, world.dump(""));
    for _ in 0..2 {
        assert_eq!(revoke(&world, &key["api_key"]), json!({}));
        assert_eq!(revoke(&world, &alice["access_token"]), json!({}));
    }
}
