//! Guesses of one secret from many sources.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::settings::Throttling;
use crate::testing::World;

const PASSWORD: &str = "correct horse battery staple";
const ADDRESS: &str = "alice@example.com";
const HOME: &str = "198.51.100.7";
const ELSEWHERE: &str = "198.51.100.8";

fn login(world: &World, peer: &str, username: &str, password: &str) -> Result<Value, i32> {
    let input = json!({"username": username, "password": password});
    world.run_from(peer, "login", input)
}

/// Makes all guesses that unknown sources are allowed, ten from each source.
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
fn guesses_from_many_sources_are_limited_for_known_and_unknown_names_alike() {
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

/// Returns a world in which alice has verified her address.
fn world_with_address() -> World {
    let world = World::new();
    let input = json!({"username": "alice", "password": PASSWORD, "email": ADDRESS});
    world.run_from(HOME, "register", input).unwrap();
    let tokens = login(&world, HOME, "alice", PASSWORD).unwrap();
    let mut input = json!({"access_token": tokens["access_token"]});
    let ask = "request_email_verification";
    world.run_from(HOME, ask, input.clone()).unwrap();
    let code = world.outbox.borrow().last().unwrap().code.clone().unwrap();
    input["code"] = json!(code.0.expose());
    world.run_from(HOME, "confirm_email", input).unwrap();
    world
}

#[test]
fn throttling_does_not_reveal_which_address_belongs_to_a_user_name() {
    let seen = |name: &str, address: &str| {
        let world = world_with_address();
        let names = [vec![address; 11], vec![name; 11], vec![address, name]].concat();
        let mut seen = Vec::new();
        for peer in [ELSEWHERE, HOME] {
            for typed in &names {
                seen.push(login(&world, peer, typed, "a wrong one").unwrap_err());
            }
        }
        world.pass(15 * 60);
        for typed in [name, address].repeat(11) {
            seen.push(login(&world, ELSEWHERE, typed, "a wrong one").unwrap_err());
        }
        seen
    };
    let of_alice = seen("alice", ADDRESS);
    assert_eq!(of_alice, seen("nobody", "nobody@example.com"));
    assert_eq!(of_alice[9..13], [-32001, -32003, -32001, -32001]);
}

#[test]
fn a_login_and_an_unlock_reset_the_windows_of_all_names() {
    let world = world_with_address();
    let guess = |typed: &str, times: usize| {
        for _ in 0..times {
            assert_eq!(login(&world, HOME, typed, "a wrong one"), Err(-32001));
        }
    };
    for (typed, other) in [("alice", ADDRESS), (ADDRESS, "alice")] {
        guess(typed, 9);
        guess(other, 10);
        assert_eq!(login(&world, HOME, other, PASSWORD), Err(-32003));
        assert!(login(&world, HOME, typed, PASSWORD).is_ok());
        assert!(login(&world, HOME, other, PASSWORD).is_ok(), "{other}");
    }
    guess("alice", 10);
    guess(ADDRESS, 10);
    operator(&world, "unlock_user");
    for typed in ["alice", ADDRESS] {
        assert!(login(&world, HOME, typed, PASSWORD).is_ok(), "{typed}");
    }
}

#[test]
fn guesses_from_unknown_sources_do_not_lock_the_owner_out_of_known_sources() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
    // A success resets the earlier failures.
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
}

#[test]
fn a_known_source_has_its_own_limit() {
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
fn administrators_can_see_and_remove_a_lock() {
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
fn unlocking_a_user_also_resets_the_source_of_the_guesses() {
    let world = world_with_alice_at_home();
    for _ in 0..10 {
        assert_eq!(login(&world, HOME, "alice", "a wrong one"), Err(-32001));
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
    operator(&world, "unlock_user");
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
}

#[test]
fn a_flood_of_sources_does_not_prevent_unlocking() {
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
fn refused_attempts_leave_the_store_unchanged() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    let before = world.dump("");
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
    assert_eq!(world.dump(""), before);
}

/// Returns a world with the lowest limits that the settings allow.
fn strict_world() -> World {
    let mut world = world_with_alice_at_home();
    world.settings.throttling = Throttling {
        attempts_per_source: 3,
        failures_per_source: 12,
        registrations_per_source: 4,
        window: Duration::from_secs(60),
        consecutive_attempts: 10,
    };
    world
}

#[test]
fn window_and_attempts_per_source_follow_the_settings() {
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
fn attempts_without_a_success_follow_the_setting() {
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
fn failures_per_source_follow_the_setting() {
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
fn delivery_metrics_are_visible_only_to_the_operator() {
    let world = World::new();
    let read = json!({"uri": "mcp://user-auth/metrics"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": read});
    let (_, answer) = world.post(&[], &body.to_string());
    let text = answer["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(text.contains("password_hash"), "{answer}");
    assert!(!text.contains("delivery"), "{answer}");
}

#[test]
fn a_new_account_starts_without_the_failures_of_its_name() {
    let world = World::new();
    let create: [(&str, Value); 3] = [
        (
            "register",
            json!({"username": "alice", "password": PASSWORD}),
        ),
        ("import_users", json!({"users": [{"username": "alice"}]})),
        ("create_service_account", json!({"username": "alice"})),
    ];
    for (operation, input) in create {
        guess_all(&world, "alice");
        world.run_as(Principal::Operator, operation, input).unwrap();
        assert_eq!(operator(&world, "get_user")["locked"], false, "{operation}");
        assert_eq!(
            login(&world, ELSEWHERE, "alice", "a wrong one"),
            Err(-32001),
            "{operation}"
        );
        operator(&world, "delete_user");
        world.pass(24 * 60 * 60);
        // The counters of the name without an account are the earlier ones.
        assert_eq!(
            login(&world, ELSEWHERE, "alice", "a wrong one"),
            Err(-32003),
            "{operation}"
        );
        world.pass(30 * 24 * 60 * 60);
    }
}

#[test]
fn the_next_owner_of_a_name_has_only_the_source_of_the_registration_as_known() {
    let world = world_with_alice_at_home();
    operator(&world, "delete_user");
    let input = json!({"username": "alice", "password": PASSWORD});
    world.run_from(ELSEWHERE, "register", input).unwrap();
    guess_all(&world, "alice");
    assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32003));
    assert!(login(&world, ELSEWHERE, "alice", PASSWORD).is_ok());
}

#[test]
fn refused_registrations_do_not_remove_a_lock() {
    let world = world_with_alice_at_home();
    guess_all(&world, "alice");
    let input = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(world.run_from(ELSEWHERE, "register", input), Err(-32000));
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD), Err(-32003));
}

const NEW_PASSWORD: &str = "another good long password";

fn change(world: &World, peer: &str, tokens: &Value, current: &str) -> Result<Value, i32> {
    let input = json!({
        "access_token": tokens["access_token"],
        "current_password": current,
        "new_password": NEW_PASSWORD,
    });
    world.run_from(peer, "change_password", input)
}

#[test]
fn a_new_password_starts_without_failures_and_trusts_only_the_source_of_the_change() {
    let world = world_with_alice_at_home();
    let tokens = login(&world, HOME, "alice", PASSWORD).unwrap();
    // The earlier password is used from more sources than one scan of the store returns.
    for source in 0..600 {
        let peer = format!("198.18.{}.{}", source / 256, source % 256);
        assert!(login(&world, &peer, "alice", PASSWORD).is_ok());
    }
    guess_all(&world, "alice");
    change(&world, HOME, &tokens, PASSWORD).unwrap();
    assert!(login(&world, ELSEWHERE, "alice", NEW_PASSWORD).is_ok());
    world.pass(15 * 60);
    guess_all(&world, "alice");
    for source in [0, 1, 599] {
        let peer = format!("198.18.{}.{}", source / 256, source % 256);
        let answer = login(&world, &peer, "alice", "a guess of the thief's");
        assert_eq!(answer, Err(-32003), "{source}");
    }
    assert!(login(&world, HOME, "alice", NEW_PASSWORD).is_ok());
}

/// Returns all counters.
fn counters(world: &World) -> String {
    world.dump("throttle/")
}

#[test]
fn attempts_that_could_not_be_hashed_are_not_counted() {
    let world = world_with_alice_at_home();
    let tokens = login(&world, HOME, "alice", PASSWORD).unwrap();
    let before = counters(&world);
    let register = |name: &str| {
        let input = json!({"username": name, "password": PASSWORD});
        world.run_from(HOME, "register", input)
    };
    for places in [0, 1] {
        for _ in 0..12 {
            world.places_for_hashes.set(Some(0));
            assert_eq!(login(&world, HOME, "alice", PASSWORD), Err(-32004));
            assert_eq!(login(&world, HOME, "alice", "a wrong one"), Err(-32004));
            assert_eq!(login(&world, HOME, "nobody", PASSWORD), Err(-32004));
            assert_eq!(register("bob"), Err(-32004));
            for current in [PASSWORD, "a wrong one"] {
                world.places_for_hashes.set(Some(places));
                assert_eq!(change(&world, HOME, &tokens, current), Err(-32004));
            }
        }
    }
    assert_eq!(counters(&world), before);
    world.places_for_hashes.set(None);
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
    assert!(register("bob").is_ok());
}

#[test]
fn attempts_that_could_not_be_counted_completely_are_not_counted() {
    let world = World::new();
    world.alice();
    let before = counters(&world);
    for additions in [0, 1] {
        world.additions.set(Some(additions));
        let answer = login(&world, HOME, "alice", PASSWORD);
        assert_eq!(answer, Err(-32004), "{additions}");
    }
    // Here the store cannot take the count back either, so the attempt stays counted.
    assert_ne!(counters(&world), before);
    world.additions.set(None);
    assert!(login(&world, HOME, "alice", PASSWORD).is_ok());
    assert_eq!(counters(&world), before);
}

#[test]
fn calls_that_fail_before_the_check_of_the_secret_are_not_counted() {
    let world = world_with_alice_at_home();
    let tokens = login(&world, HOME, "alice", PASSWORD).unwrap();
    let before = counters(&world);
    for _ in 0..12 {
        let input = json!({"access_token": tokens["access_token"], "code": "123456"});
        let answer = world.run_from(HOME, "confirm_totp", input);
        assert_eq!(answer, Err(-32000), "there is no app to confirm");
    }
    assert_eq!(counters(&world), before);
}

#[test]
fn codes_that_are_not_sent_do_not_count() {
    let world = World::new();
    let account = json!({"username": "alice", "password": PASSWORD, "email": "a@example.com"});
    world.run("register", account).unwrap();
    let tokens = world.log_in("alice", PASSWORD).unwrap();
    let ask = || {
        let input = json!({"access_token": tokens["access_token"]});
        world.run("request_email_verification", input)
    };
    world.outbox_is_full.set(true);
    for _ in 0..12 {
        assert_eq!(ask(), Err(-32004));
    }
    world.outbox_is_full.set(false);
    for _ in 0..3 {
        assert!(ask().is_ok());
    }
    assert_eq!(ask(), Err(-32003));
    let code = world.outbox.borrow().last().unwrap().code.clone().unwrap();
    let confirm = json!({"access_token": tokens["access_token"], "code": code.0.expose()});
    world.run("confirm_email", confirm).unwrap();
    world.pass(60 * 60);
    let fresh = world.log_in("alice", PASSWORD).unwrap();
    for _ in 0..12 {
        let input = json!({"access_token": fresh["access_token"]});
        let answer = world.run("request_email_verification", input);
        assert_eq!(answer, Err(-32000), "it is verified already");
    }
}

#[test]
fn registrations_per_source_follow_the_setting() {
    let world = strict_world();
    let register = |peer: &str, name: &str| {
        let input = json!({"username": name, "password": PASSWORD});
        world.run_from(peer, "register", input)
    };
    for number in 0..4 {
        register(ELSEWHERE, &format!("user{number}")).unwrap();
    }
    world.hashes.take();
    for name in ["one-more", "user0"] {
        assert_eq!(register(ELSEWHERE, name), Err(-32003), "{name}");
    }
    assert!(world.hashes.take().is_empty(), "that costs no hash");
    register("198.51.100.9", "other").unwrap();
    for number in 0..6 {
        let input = json!({"username": format!("own{number}"), "password": PASSWORD});
        let operator = Principal::Operator;
        world.run_as(operator, "register", input).unwrap();
    }
    world.pass(60);
    register(ELSEWHERE, "one-more").unwrap();
    // Registrations that are refused for another reason do not count.
    for _ in 0..5 {
        let input = json!({"username": "weak", "password": "password"});
        assert_eq!(
            world.run_from("198.51.100.10", "register", input),
            Err(-32000)
        );
    }
    for number in 0..4 {
        register("198.51.100.10", &format!("late{number}")).unwrap();
    }
}
