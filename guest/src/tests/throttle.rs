//! Guesses from many sources at one secret.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::context::Principal;
use crate::settings::Throttling;
use crate::testing::World;

const PASSWORD: &str = "correct horse battery staple";
const HOME: &str = "198.51.100.7";
const ELSEWHERE: &str = "198.51.100.8";

fn login(world: &World, peer: &str, username: &str, password: &str) -> Result<Value, i32> {
    let input = json!({"username": username, "password": password});
    world.run_from(peer, "login", input)
}

/// All that strangers may try, ten from each source.
fn guess_all(world: &World, username: &str) {
    for guess in 0..100 {
        let peer = format!("203.0.113.{}", guess / 10);
        let answer = login(world, &peer, username, "a wrong one");
        assert_eq!(answer, Err(-32001), "guess {guess}");
    }
}

fn operator(world: &World, operation: &str) -> Value {
    let input = json!({"username": "alice"});
    world.run_as(Principal::Operator, operation, input).unwrap()
}

fn world_with_alice_at_home() -> World {
    let world = World::new();
    world.alice();
    login(&world, HOME, "alice", PASSWORD).unwrap();
    world
}

#[test]
fn many_sources_do_not_add_up_for_names_that_exist_and_for_others_alike() {
    for username in ["alice", "nobody"] {
        let world = world_with_alice_at_home();
        guess_all(&world, username);
        for password in ["a wrong one", PASSWORD] {
            let answer = login(&world, ELSEWHERE, username, password);
            assert_eq!(answer, Err(-32003), "{username}");
        }
        world.pass(24 * 60 * 60);
        let answer = login(&world, ELSEWHERE, username, "a wrong one");
        assert_eq!(answer, Err(-32003), "{username} a day later");
    }
}

#[test]
fn who_guesses_elsewhere_locks_nobody_out_at_home() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
    // A success is the end of what failed before it.
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
}

#[test]
fn a_known_source_has_a_limit_of_its_own() {
    let world = world_with_alice_at_home();
    for guess in 0..100 {
        let answer = login(&world, HOME, "alice", "a wrong one");
        assert_eq!(answer, Err(-32001), "guess {guess}");
        if guess % 10 == 9 {
            world.pass(15 * 60);
        }
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
    assert_eq!(
        login(&world, HOME, "alice", PASSWORD),
        Err(-32003),
        "what was tried from home is not forgiven elsewhere"
    );
}

#[test]
fn an_administrator_sees_the_lock_and_takes_it_off() {
    let world = world_with_alice_at_home();
    assert_eq!(operator(&world, "get_user")["locked"], false);
    guess_all(&world, "alice");
    assert_eq!(operator(&world, "get_user")["locked"], true);
    operator(&world, "unlock_user");
    assert_eq!(operator(&world, "get_user")["locked"], false);
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
    assert!(world.dump("audit/").contains("unlock_user"));
}

#[test]
fn an_unlocked_user_may_be_tried_again_from_where_the_guesses_came() {
    let world = world_with_alice_at_home();
    for _ in 0..10 {
        assert_eq!(login(&world, HOME, "alice", "a wrong one"), Err(-32001));
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
    operator(&world, "unlock_user");
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
}

#[test]
fn a_flood_of_sources_keeps_nobody_from_being_unlocked() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    for source in 0..600 {
        let peer = format!("198.18.{}.{}", source / 256, source % 256);
        let answer = login(&world, &peer, "alice", "a wrong one");
        assert_eq!(answer, Err(-32003));
    }
    operator(&world, "unlock_user");
    assert_eq!(operator(&world, "get_user")["locked"], false);
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
}

#[test]
fn what_is_refused_leaves_nothing_in_the_store() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    let before = world.dump("");
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    assert_eq!(world.dump(""), before);
}

/// The least that can be set.
fn strict_world() -> World {
    let mut world = world_with_alice_at_home();
    world.settings.throttling = Throttling {
        attempts_per_source: 3,
        failures_per_source: 12,
        window: Duration::from_secs(60),
        consecutive_attempts: 10,
    };
    world
}

#[test]
fn the_window_and_the_attempts_from_one_source_are_as_they_are_set() {
    let world = strict_world();
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(login(&world, HOME, "alice", "a wrong one"), Err(-32001));
        }
        assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
        world.pass(59);
        assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
        world.pass(1);
    }
    let resets =
        |world: &World| world.run_from(HOME, "request_password_reset", json!({"username": "bob"}));
    for _ in 0..3 {
        assert!(resets(&world).is_ok());
    }
    assert_eq!(resets(&world), Err(-32003));
}

#[test]
fn attempts_without_a_success_are_as_many_as_is_set() {
    let world = strict_world();
    for guess in 0..10 {
        let peer = format!("203.0.113.{guess}");
        let answer = login(&world, &peer, "alice", "a wrong one");
        assert_eq!(answer, Err(-32001), "guess {guess}");
    }
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    assert_eq!(operator(&world, "get_user")["locked"], true);
}

#[test]
fn failures_of_one_source_are_as_many_as_is_set() {
    let world = strict_world();
    for guess in 0..12 {
        let name = format!("user{guess}");
        assert_eq!(login(&world, ELSEWHERE, &name, "a wrong one"), Err(-32001));
    }
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    let limits = world.run_from(HOME, "get_capabilities", json!({})).unwrap();
    assert_eq!(limits["limits"]["login_failures_per_source"], 12);
    assert_eq!(limits["limits"]["login_failure_window_seconds"], 60);
}

#[test]
fn how_many_messages_went_out_is_told_to_the_operator_alone() {
    let world = World::new();
    let read = json!({"uri": "mcp://user-auth/metrics"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": read});
    let (_, answer) = world.post(&[], &body.to_string());
    let text = answer["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("password_hash"), "{answer}");
    assert!(!text.contains("delivery"), "{answer}");
}
