//! Limits on guesses of the codes of a second factor.

use serde_json::json;

use super::{PASSWORD, User, enroll, shown, step};
use crate::testing::World;

#[test]
fn code_guesses_are_throttled_even_with_the_right_password() {
    let user = User::new();
    for _ in 0..2 {
        let challenge = user.challenge();
        for _ in 0..5 {
            assert_eq!(user.complete(&challenge, &user.wrong_code()), Err(-32001));
        }
    }
    // Each challenge required the right password, and so does this one.
    assert_eq!(
        user.login(&user.code()),
        Err(-32003),
        "not even the right one"
    );
    user.world.pass(15 * 60);
    user.login(&user.code()).unwrap();
    user.world.pass(30);
    for _ in 0..9 {
        assert_eq!(user.login(&user.wrong_code()), Err(-32001));
    }
    user.login(&user.code()).unwrap();
    for _ in 0..10 {
        let refused = user.login(&user.wrong_code());
        assert_eq!(refused, Err(-32001), "a right code has reset the count");
    }
    assert_eq!(user.login(&user.wrong_code()), Err(-32003));
}

#[test]
fn only_guesses_of_app_codes_are_counted_across_all_sources() {
    let user = User::new();
    let login = |source: u32, code: &str| {
        let source = format!("198.51.100.{source}");
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let challenge = user.world.run_from(&source, "login", credentials).unwrap();
        let input = json!({"challenge": challenge["challenge"], "code": code});
        user.world.run_from(&source, "complete_login", input)
    };
    for guess in 0..100 {
        assert_eq!(login(guess / 10, &user.wrong_code()), Err(-32001));
    }
    assert_eq!(login(20, &user.code()), Err(-32003));
    user.world.pass(24 * 60 * 60);
    assert_eq!(login(20, &user.code()), Err(-32003), "a day later");
    login(21, &user.recovery_codes[0]).unwrap();
    login(22, &user.code()).unwrap();
}

#[test]
fn a_new_app_starts_without_failures_and_trusts_only_the_source_of_its_confirmation() {
    const THIEF: &str = "198.51.100.66";
    let user = User::new();
    let world = &user.world;
    let login = |source: &str, code: &str| {
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let challenge = world.run_from(source, "login", credentials).unwrap();
        let input = json!({"challenge": challenge["challenge"], "code": code});
        world.run_from(source, "complete_login", input)
    };
    let guess_all = |wrong: &str| {
        for guess in 0..100 {
            let source = format!("203.0.113.{}", guess / 10);
            assert_eq!(login(&source, wrong), Err(-32001), "{guess}");
        }
        world.pass(15 * 60);
    };
    login(THIEF, &user.code()).unwrap();
    guess_all(&user.wrong_code());
    assert_eq!(login("198.51.100.1", &user.code()), Err(-32003));

    let tokens = login("198.51.100.2", &user.recovery_codes[0]).unwrap();
    let secret = enroll(world, &tokens).unwrap();
    let input = json!({
        "access_token": tokens["access_token"],
        "code": shown(&secret, step(world)),
    });
    world
        .run_from("198.51.100.2", "confirm_totp", input)
        .unwrap();
    world.pass(30);
    let new = User {
        secret,
        world: World::new(),
        tokens,
        recovery_codes: Vec::new(),
    };
    new.world.now_ms.set(world.now_ms.get());
    guess_all(&new.wrong_code());
    new.world.now_ms.set(world.now_ms.get());
    assert_eq!(
        login(THIEF, &new.code()),
        Err(-32003),
        "who had the old app"
    );
    login("198.51.100.2", &new.code()).unwrap();
}

#[test]
fn throttled_codes_do_not_use_up_the_attempts_of_a_challenge() {
    let user = User::new();
    for _ in 0..10 {
        assert_eq!(user.login(&user.wrong_code()), Err(-32001));
    }
    let challenge = user.challenge();
    for _ in 0..6 {
        assert_eq!(user.complete(&challenge, &user.code()), Err(-32003));
    }
    let input = json!({"challenge": challenge, "code": user.code()});
    user.world
        .run_from("198.51.100.9", "complete_login", input)
        .unwrap();
}

#[test]
fn guesses_of_recovery_codes_do_not_block_the_owner() {
    let user = User::new();
    let login = |source: u32, code: &str| {
        let source = format!("198.51.100.{source}");
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let challenge = user.world.run_from(&source, "login", credentials).unwrap();
        let input = json!({"challenge": challenge["challenge"], "code": code});
        user.world.run_from(&source, "complete_login", input)
    };
    let wrong = "0000-1111-2222-3333-4444-5555-6666";
    for guess in 0..110 {
        assert_eq!(login(guess / 10, wrong), Err(-32001), "{guess}");
    }
    login(20, &user.recovery_codes[0]).unwrap();
}
