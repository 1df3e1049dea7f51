//! The effect of the configuration on a server.

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD};

use super::{program, stderr};

/// The settings that require API keys of callers.
const ASKS: &str = "USER_AUTH_SECURITY_AUTHENTICATION_TYPE";

#[test]
fn the_environment_overrides_the_file_of_a_server() {
    let program = program();
    let file = program.file(
        "c.toml",
        "[tokens]\nissuer = 'from the file'\naudience = 'from the file'\n\
         [throttling]\nattempts_per_source = 3\n\
         [limits]\nbody_bytes = 3000\n\
         [store]\nurl = 'memory'\n",
    );
    let server = Options::new()
        .env("USER_AUTH_CONFIG", &file)
        .env("USER_AUTH_AUDIENCE", "from outside")
        .env("USER_AUTH_LISTN", "127.0.0.1:1")
        .start();
    let tokens = server.new_session("alice");
    let claims = server.call("verify_token", json!({"token": tokens["access_token"]}));
    let claims = claims.unwrap();
    assert_eq!(claims["iss"], "from the file");
    assert_eq!(claims["aud"], "from outside");
    for code in [-32001, -32001, -32001, -32003] {
        let credentials = json!({"username": "alice", "password": "a wrong one"});
        let error = server.call("login", credentials).unwrap_err();
        assert_eq!(error["code"], code);
    }
    assert_eq!(server.post(&[], vec![b' '; 3001]).status, 413);
    let (_, log) = server.stop();
    assert_eq!(log.matches("the server is open").count(), 1, "{log}");
    assert!(
        !program.home.path().join(".local").exists(),
        "the store is in memory"
    );
}

#[test]
fn a_server_reachable_by_others_does_not_start_without_api_keys() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let program = program();
        // If the start got as far as opening a store, it would fail there.
        let store = ["--store", "sqlite:/no/such/folder/a.db"];
        let serve = [&["serve", "--listen", listen][..], &store].concat();
        let output = program.run(&serve);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let said = stderr(&output);
        for part in [
            "`security.authentication.type`",
            "USER_AUTH_SECURITY_AUTHENTICATION_TYPE=api_key",
            "user-auth call create_api_key",
        ] {
            assert!(said.contains(part), "{said}");
        }
        // Setting `required` to false explicitly does not get around this.
        let output = program.env(ASKS, "none").run(&serve);
        assert!(stderr(&output).contains("could call without credentials"));
    }
}

#[test]
fn a_server_that_requires_api_keys_may_listen_on_all_interfaces() {
    let program = program().env(ASKS, "api_key");
    let output = program.run(&[
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--store",
        "sqlite:/no/such/folder/a.db",
    ]);
    let said = stderr(&output);
    // The start got as far as opening its store.
    assert!(said.contains("/no/such/folder"), "{said}");
    assert!(!said.contains("the server is open"), "{said}");
}

#[test]
fn the_first_api_key_is_created_as_the_error_message_says() {
    let program = program();
    let run = |arguments: &[&str]| -> Value {
        let output = program.run(&[&["call"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let account = run(&["create_service_account", "username=agent"]);
    let user_id = format!("user_id={}", account["user_id"].as_str().unwrap());
    let made = run(&["create_api_key", "name=first", &user_id]);
    assert!(
        made["api_key"].as_str().unwrap().starts_with("uak_"),
        "{made}"
    );
}

#[test]
fn the_minimum_password_length_can_be_set() {
    let server = Options::new()
        .store("memory")
        .arg("--set")
        .arg("passwords.min_length=40")
        .start();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        server.call("register", credentials).unwrap_err()["code"],
        -32000
    );
}
