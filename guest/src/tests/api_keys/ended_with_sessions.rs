//! Keys that end together with sessions of their account.

use serde_json::{Value, json};

use super::{
    KEYS_WRITE, PASSWORD, bearer, create, holder, introspect, listed, operator, revoke, user,
};
use crate::testing::World;

/// Reports for each of these keys whether it is valid.
fn are_good(world: &World, keys: &[&Value]) -> Vec<bool> {
    let is_good = |key: &&Value| {
        let secret = key["api_key"].as_str().unwrap();
        introspect(world, secret)["active"] == true
    };
    keys.iter().map(is_good).collect()
}

#[test]
fn keys_of_a_stolen_session_end_when_the_owner_changes_the_password() {
    for (operation, input) in [
        (
            "change_password",
            json!({"current_password": PASSWORD, "new_password": format!("new {PASSWORD}")}),
        ),
        ("revoke_other_sessions", json!({})),
    ] {
        let world = World::new();
        let before = user(&world, "alice", &[KEYS_WRITE]);
        let old = create(&world, &before, &[]);
        world.pass(30 * 24 * 60 * 60 + 1);
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let login = || world.run("login", credentials.clone()).unwrap();
        let stolen = login();
        let made = create(&world, &stolen, &[KEYS_WRITE]);
        // The key creates another key, and a session that is ended right afterwards
        // creates a third.
        let made_by_it = world.run_as(holder(&made), "create_api_key", json!({"name": "ci"}));
        let made_by_it = made_by_it.unwrap();
        let gone = login();
        let of_gone = create(&world, &gone, &[]);
        revoke(&world, &gone["access_token"]);
        let rotated = world.run_as(
            bearer(&stolen),
            "rotate_api_key",
            json!({"key_id": old["key_id"]}),
        );
        let rotated = rotated.unwrap();
        let input_for_alice = json!({"name": "ci", "user_id": before["user_id"]});
        let of_operator = operator(&world, "create_api_key", input_for_alice);
        world.pass(24 * 60 * 60);
        let session = login();
        let own = create(&world, &session, &[]);

        let mut keep = input.clone();
        keep["end_api_keys"] = json!("none");
        if operation == "revoke_other_sessions" {
            world.run_as(bearer(&session), operation, keep).unwrap();
            let all = [&made, &made_by_it, &of_gone, &rotated, &of_operator, &own];
            assert_eq!(are_good(&world, &all), [true; 6]);
        }
        world.audited.take();
        let answer = world.run_as(bearer(&session), operation, input).unwrap();
        let ended = [&made, &made_by_it, &of_gone, &rotated];
        assert_eq!(are_good(&world, &ended), [false; 4], "{operation}");
        assert_eq!(are_good(&world, &[&of_operator, &own]), [true; 2]);
        let mut ids: Vec<&str> = ended.map(|key| key["key_id"].as_str().unwrap()).to_vec();
        ids.sort_unstable();
        assert_eq!(answer["ended_api_keys"], json!(ids));
        let audited = world.audited.take();
        assert_eq!(audited[0]["details"]["ended_api_keys"], json!(ids));
        let all = json!({"end_api_keys": "all"});
        world
            .run_as(bearer(&session), "revoke_other_sessions", all)
            .unwrap();
        assert_eq!(are_good(&world, &[&of_operator, &own]), [false; 2]);
        assert!(listed(&world, &session).is_empty());
    }
}

#[test]
fn long_standing_keys_survive_the_end_of_other_sessions() {
    let world = World::new();
    let before = user(&world, "alice", &[KEYS_WRITE]);
    let old = create(&world, &before, &[KEYS_WRITE]);
    world.pass(30 * 24 * 60 * 60 + 1);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = world.run("login", credentials).unwrap();
    // The key is old, and now rotates itself.
    let input = json!({"key_id": old["key_id"]});
    let renewed = world.run_as(holder(&old), "rotate_api_key", input);
    let renewed = renewed.unwrap();
    let answer = world.run_as(bearer(&session), "revoke_other_sessions", json!({}));
    assert_eq!(answer, Ok(json!({"session_id": session["session_id"]})));
    assert_eq!(are_good(&world, &[&renewed]), [true]);
}

#[test]
fn revoking_another_session_ends_the_keys_that_it_created() {
    let world = World::new();
    let stolen = user(&world, "alice", &[]);
    let made = create(&world, &stolen, &[]);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let (session, other) = (
        world.run("login", credentials.clone()).unwrap(),
        world.run("login", credentials).unwrap(),
    );
    let of_other = create(&world, &other, &[]);
    let input = json!({"session_id": stolen["session_id"]});
    let answer = world.run_as(bearer(&session), "revoke_session", input);
    let expected = json!({
        "session_id": stolen["session_id"],
        "ended_api_keys": [made["key_id"]],
    });
    assert_eq!(answer, Ok(expected));
    assert_eq!(are_good(&world, &[&made, &of_other]), [false, true]);
    operator(&world, "revoke_user_sessions", json!({"username": "alice"}));
    assert_eq!(are_good(&world, &[&of_other]), [false]);
}

#[test]
fn keys_without_a_recorded_origin_end_by_their_age() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let key = create(&world, &alice, &[]);
    let store_key = format!("api-key/{}", key["key_id"].as_str().unwrap());
    let mut record: Value = serde_json::from_slice(&world.stored(&store_key).unwrap()).unwrap();
    assert!(record.as_object_mut().unwrap().remove("origin").is_some());
    world.tamper(&store_key, Some(serde_json::to_vec(&record).unwrap()));
    let end = |session: &Value| {
        world
            .run_as(bearer(session), "revoke_other_sessions", json!({}))
            .unwrap();
    };
    let later = world.fork();
    end(&alice);
    assert_eq!(are_good(&world, &[&key]), [false]);
    later.pass(30 * 24 * 60 * 60 + 1);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = later.run("login", credentials).unwrap();
    let ended = later.run_as(bearer(&session), "revoke_other_sessions", json!({}));
    assert!(ended.is_ok());
    assert_eq!(are_good(&later, &[&key]), [true]);
}
