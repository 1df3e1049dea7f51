//! Failed guesses at a user name must not affect its next owner or the next password.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

const NEW_PASSWORD: &str = "another good long password";
/// The owner's usual address.
const HOME: &str = "127.0.0.1";
/// An address that the owner has not used before.
const STRANGE: &str = "127.0.7.1";

/// Allows the smallest number of guesses that can be configured.
fn server(home: &Path) -> Server {
    let guesses = "USER_AUTH_THROTTLING_CONSECUTIVE_ATTEMPTS";
    Options::new().home(home).env(guesses, "10").start()
}

fn started() -> (TempDir, Server) {
    let home = folder();
    let server = server(home.path());
    (home, server)
}

fn login(server: &Server, source: &str, username: &str, password: &str) -> Result<Value, i64> {
    let input = json!({"username": username, "password": password});
    let answer = server.call_from(source, "login", input);
    answer.map_err(|error| error["code"].as_i64().unwrap())
}

/// Makes as many failed guesses as unknown sources are allowed, from as many addresses.
fn lock(server: &Server, username: &str) {
    for guess in 1..=10 {
        let source = format!("127.0.9.{guess}");
        let answer = login(server, &source, username, "a guess of a stranger");
        assert_eq!(answer, Err(-32001), "{username}: {guess}");
    }
    let answer = login(server, "127.0.9.11", username, PASSWORD);
    let code = answer.err();
    assert_eq!(code, Some(-32003), "{username} is locked");
}

fn register(server: &Server, source: &str, username: &str) -> Result<Value, Value> {
    let account = json!({"username": username, "password": PASSWORD});
    server.call_from(source, "register", account)
}

/// Runs an operation as the operator.
fn operate(home: &Path, operation: &str, input: Value) -> Value {
    let input = input.to_string();
    let mut command = command(home);
    let output = command.args(["call", operation, "--json", &input]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{operation}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn guesses_before_an_account_exists_do_not_lock_out_its_owner() {
    let (home, server) = started();
    let names = ["registered", "imported", "program"];
    for name in names {
        lock(&server, name);
    }
    register(&server, HOME, "registered").unwrap();
    let users = json!({"users": [{"username": "imported"}]});
    operate(home.path(), "import_users", users);
    let program = json!({"username": "program"});
    operate(home.path(), "create_service_account", program);
    for name in names {
        let shown = operate(home.path(), "get_user", json!({"username": name}));
        assert_eq!(shown["locked"], false, "{name}");
    }
    assert!(login(&server, STRANGE, "registered", PASSWORD).is_ok());
    // The address of the registration is a known source, whatever is tried from elsewhere.
    lock(&server, "registered");
    assert!(login(&server, HOME, "registered", PASSWORD).is_ok());
}

#[test]
fn a_reused_name_inherits_neither_lock_nor_known_sources() {
    let (home, server) = started();
    let former = "127.0.8.1";
    register(&server, former, "alice").unwrap();
    assert!(login(&server, former, "alice", PASSWORD).is_ok());
    lock(&server, "alice");
    operate(home.path(), "delete_user", json!({"username": "alice"}));
    register(&server, HOME, "alice").unwrap();
    assert!(login(&server, STRANGE, "alice", PASSWORD).is_ok());
    lock(&server, "alice");
    assert_eq!(login(&server, former, "alice", PASSWORD), Err(-32003));
    assert!(login(&server, HOME, "alice", PASSWORD).is_ok());
}

#[test]
fn registering_a_taken_name_does_not_unlock_it() {
    let (_home, server) = started();
    register(&server, HOME, "alice").unwrap();
    lock(&server, "alice");
    let taken = register(&server, STRANGE, "alice").unwrap_err();
    assert_eq!(taken["code"], -32000);
    assert_eq!(login(&server, STRANGE, "alice", PASSWORD), Err(-32003));
}

#[test]
fn a_new_password_unlocks_the_account_and_forgets_known_sources() {
    let (_home, server) = started();
    register(&server, HOME, "alice").unwrap();
    let thief = "127.0.6.6";
    for source in [HOME, thief] {
        assert!(login(&server, source, "alice", PASSWORD).is_ok());
    }
    lock(&server, "alice");
    let tokens = login(&server, HOME, "alice", PASSWORD).unwrap();
    lock(&server, "alice");
    let change = json!({
        "access_token": tokens["access_token"],
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    });
    server.call_from(HOME, "change_password", change).unwrap();
    assert!(login(&server, STRANGE, "alice", NEW_PASSWORD).is_ok());
    for guess in 1..=10 {
        let source = format!("127.0.9.{guess}");
        let answer = login(&server, &source, "alice", "a guess of a stranger");
        assert_eq!(answer, Err(-32001), "{guess}");
    }
    let answer = login(&server, thief, "alice", "a guess of the thief's");
    assert_eq!(answer, Err(-32003), "who knew the old password");
    assert!(login(&server, HOME, "alice", NEW_PASSWORD).is_ok());
}
