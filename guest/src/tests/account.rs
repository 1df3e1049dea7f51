//! Operations of owners on their own accounts.

use serde_json::{Value, json};

use crate::testing::{self, World};

const PASSWORD: &str = "correct horse battery staple";
const NEW_PASSWORD: &str = "another good long password";

fn login(world: &World, password: &str) -> Result<Value, i32> {
    world.run("login", json!({"username": "alice", "password": password}))
}

fn active(world: &World, tokens: &Value) -> bool {
    let answer = world.run("verify_token", json!({"token": tokens["access_token"]}));
    answer.unwrap()["active"] == true
}

fn listed(world: &World, tokens: &Value) -> Vec<(String, bool)> {
    let input = json!({"access_token": tokens["access_token"]});
    let listed = world.run("list_sessions", input).unwrap();
    let sessions = listed["sessions"].as_array().unwrap();
    let view = |session: &Value| {
        let id = session["session_id"].as_str().unwrap().to_owned();
        (id, session["current"].as_bool().unwrap())
    };
    sessions.iter().map(view).collect()
}

#[test]
fn owners_can_list_their_live_sessions_and_end_one() {
    let world = World::new();
    let first = world.alice();
    let second = login(&world, PASSWORD).unwrap();
    let seen = listed(&world, &first);
    assert_eq!(seen.len(), 2);
    for (id, current) in seen {
        assert_eq!(current, id == first["session_id"].as_str().unwrap());
    }
    let end = json!({
        "access_token": first["access_token"],
        "session_id": second["session_id"],
    });
    world.run("revoke_session", end.clone()).unwrap();
    assert!(!active(&world, &second) && active(&world, &first));
    assert_eq!(listed(&world, &first).len(), 1);
    assert_eq!(
        world.run("revoke_session", end),
        Err(-32000),
        "it is not there any more"
    );
}

#[test]
fn sessions_of_other_accounts_appear_not_to_exist() {
    let world = World::new();
    let alice = world.alice();
    let credentials = json!({"username": "mallory", "password": PASSWORD});
    world.run("register", credentials.clone()).unwrap();
    let mallory = world.run("login", credentials).unwrap();
    let input = json!({
        "access_token": mallory["access_token"],
        "session_id": alice["session_id"],
    });
    assert_eq!(world.run("revoke_session", input), Err(-32000));
    assert!(active(&world, &alice));
    assert_eq!(listed(&world, &mallory).len(), 1);
}

#[test]
fn revoking_other_sessions_ends_them_and_their_refresh_tokens_at_once() {
    let world = World::new();
    let others: Vec<Value> = [world.alice(), login(&world, PASSWORD).unwrap()].into();
    let own = login(&world, PASSWORD).unwrap();
    let input = json!({"access_token": own["access_token"]});
    world.run("revoke_other_sessions", input).unwrap();
    assert!(active(&world, &own));
    for other in &others {
        assert!(!active(&world, other));
        let refresh = json!({"refresh_token": other["refresh_token"]});
        assert_eq!(world.run("refresh_token", refresh), Err(-32001));
    }
    let refresh = json!({"refresh_token": own["refresh_token"]});
    assert!(world.run("refresh_token", refresh).is_ok());
    assert_eq!(listed(&world, &own).len(), 1);
}

#[test]
fn a_password_change_replaces_the_old_password_and_ends_other_sessions() {
    let world = World::new();
    let other = world.alice();
    let own = login(&world, PASSWORD).unwrap();
    let change = json!({
        "access_token": own["access_token"],
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    });
    world.run("change_password", change).unwrap();
    assert!(active(&world, &own) && !active(&world, &other));
    assert_eq!(login(&world, PASSWORD), Err(-32001));
    assert!(login(&world, NEW_PASSWORD).is_ok());
}

#[test]
fn a_password_change_requires_the_current_password_an_acceptable_new_one_and_a_recent_login() {
    let world = World::new();
    let own = world.alice();
    let change = |current: &str, new: &str| {
        let input = json!({
            "access_token": own["access_token"],
            "current_password": current,
            "new_password": new,
        });
        world.run("change_password", input)
    };
    assert_eq!(change("not the current one", NEW_PASSWORD), Err(-32001));
    assert_eq!(change(PASSWORD, "short"), Err(-32000));
    let anonymous = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    assert_eq!(world.run("change_password", anonymous), Err(-32001));
    world.pass(5 * 60 + 1);
    assert_eq!(change(PASSWORD, NEW_PASSWORD), Err(-32001), "not fresh");
    let refresh = json!({"refresh_token": own["refresh_token"]});
    let refreshed = world.run("refresh_token", refresh).unwrap();
    let input = json!({
        "access_token": refreshed["access_token"],
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    });
    assert_eq!(
        world.run("change_password", input),
        Err(-32001),
        "a refresh is no login"
    );
    assert!(login(&world, PASSWORD).is_ok());
}

#[test]
fn guesses_of_the_current_password_are_throttled_like_logins() {
    let world = World::new();
    let own = world.alice();
    let guess = || {
        let input = json!({
            "access_token": own["access_token"],
            "current_password": "a wrong one",
            "new_password": NEW_PASSWORD,
        });
        world.run("change_password", input)
    };
    for _ in 0..10 {
        assert_eq!(guess(), Err(-32001));
    }
    assert_eq!(guess(), Err(-32003));
}

#[test]
fn guessable_passwords_are_refused_with_the_reason() {
    let world = World::new();
    let why = |operation: &str, input: Value| {
        let error = testing::invoke(operation, input, &world.call()).unwrap_err();
        error.details()["fields"][0].clone()
    };
    let register = |password: &str| {
        let email = "mo@initech.example";
        json!({"username": "alice", "email": email, "password": password})
    };
    for (password, expected) in [
        ("PasswordPassword1", "most common"),
        ("qwertyuiopasdfgh", "row of keys"),
        ("alicealicealice!", "name of its owner"),
        ("initech-initech-1", "name of its owner"),
        ("userauth-2024-2024", "this service"),
    ] {
        let field = why("register", register(password));
        assert_eq!(field["path"], "$.password");
        let problem = field["problem"].as_str().unwrap();
        assert!(problem.contains(expected), "{password}: {problem}");
    }
    world.run("register", register(PASSWORD)).unwrap();
    let session = login(&world, PASSWORD).unwrap();
    for password in ["passwordpassword", "initech-initech-1"] {
        let change = json!({
            "access_token": session["access_token"],
            "current_password": PASSWORD,
            "new_password": password,
        });
        assert_eq!(why("change_password", change)["path"], "$.new_password");
    }
    assert!(login(&world, PASSWORD).is_ok());
}
