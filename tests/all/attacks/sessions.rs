//! Sessions that must end and must not come back.

use serde_json::{Value, json};
use user_auth_tests::{Clock, Options, PASSWORD, Server, folder};

fn refresh(server: &Server, tokens: &Value) -> Result<Value, Value> {
    server.call(
        "refresh_token",
        json!({"refresh_token": tokens["refresh_token"]}),
    )
}

/// A second use of a refresh token ends its session.
fn strict() -> Options {
    Options::new().env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")
}

fn is_active(server: &Server, tokens: &Value) -> bool {
    let answer = server.call("verify_token", json!({"token": tokens["access_token"]}));
    answer.unwrap()["active"] == true
}

#[test]
fn attack_13_a_refresh_token_replayed_after_its_grace_ends_its_session() {
    let home = folder();
    let clock = Clock::new(home.path());
    let server = Options::new().home(home.path()).clock(&clock).start();
    let stolen = server.new_session("alice");
    let owner = refresh(&server, &stolen).unwrap();
    // Within the grace the thief holds what the owner holds, and no more.
    let thief = refresh(&server, &stolen).unwrap();
    assert_eq!(thief["refresh_token"], owner["refresh_token"]);
    clock.set("+121s");
    assert_eq!(refresh(&server, &stolen).unwrap_err()["code"], -32001);
    for ended in [&owner, &thief] {
        assert!(!is_active(&server, ended));
        assert_eq!(refresh(&server, ended).unwrap_err()["code"], -32001);
    }
}

#[test]
fn attack_13_a_replayed_refresh_token_ends_its_session_at_once_without_a_grace() {
    let server = strict().start();
    let stolen = server.new_session("alice");
    let owner = refresh(&server, &stolen).unwrap();
    let owner = refresh(&server, &owner).unwrap();
    assert_eq!(refresh(&server, &stolen).unwrap_err()["code"], -32001);
    assert!(!is_active(&server, &owner));
    assert_eq!(refresh(&server, &owner).unwrap_err()["code"], -32001);
}

#[test]
fn attack_15_a_replay_is_detected_after_a_restart() {
    let home = folder();
    let options = || strict().home(home.path());
    let server = options().start();
    let used = server.new_session("alice");
    let current = refresh(&server, &used).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let ended = server.call("login", credentials).unwrap();
    server
        .call("logout", json!({"access_token": ended["access_token"]}))
        .unwrap();
    server.kill();

    let server = options().start();
    assert!(!is_active(&server, &ended));
    assert_eq!(refresh(&server, &ended).unwrap_err()["code"], -32001);
    assert_eq!(refresh(&server, &used).unwrap_err()["code"], -32001);
    assert!(!is_active(&server, &current));
    assert_eq!(refresh(&server, &current).unwrap_err()["code"], -32001);
}

#[test]
fn attack_29_a_users_token_does_not_reach_sessions_of_others() {
    let server = Server::start();
    let alice = server.new_session("alice");
    let mallory = server.new_session("mallory");
    let session_id = alice["session_id"].as_str().unwrap();

    let end = json!({"access_token": mallory["access_token"], "session_id": session_id});
    assert_eq!(
        server.call("revoke_session", end).unwrap_err()["code"],
        -32000
    );
    let listed = json!({"access_token": mallory["access_token"]});
    let listed = server.call("list_sessions", listed).unwrap();
    assert!(!listed.to_string().contains(session_id));
    let others = json!({"access_token": mallory["access_token"]});
    server.call("revoke_other_sessions", others).unwrap();

    let bearer = format!("Bearer {}", mallory["access_token"].as_str().unwrap());
    let uri = format!("mcp://user-auth/sessions/{session_id}");
    let params = json!({"uri": uri});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params});
    let read = server.post(&[("authorization", &bearer)], body.to_string());
    let absent = body.to_string().replace(session_id, &"0".repeat(32));
    let absent = server.post(&[("authorization", &bearer)], absent);
    assert_eq!(read.json()["error"]["code"], absent.json()["error"]["code"]);
    assert_eq!(
        read.json()["error"]["message"],
        absent.json()["error"]["message"]
    );
    assert!(is_active(&server, &alice));
}

#[test]
fn attack_30_an_old_session_cannot_change_the_password() {
    let server = Options::new()
        .env("USER_AUTH_FRESH_SESSION_SECONDS", "1")
        .start();
    let tokens = server.new_session("alice");
    let change = json!({
        "access_token": tokens["access_token"],
        "current_password": PASSWORD,
        "new_password": "another good long password",
    });
    // The server's clock decides: repeat until it has advanced.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let wrong = json!({
        "access_token": tokens["access_token"],
        "current_password": PASSWORD,
        "new_password": "short",
    });
    loop {
        let error = server.call("change_password", wrong.clone()).unwrap_err();
        if error["code"] == -32001 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{error}");
    }
    assert_eq!(
        server.call("change_password", change).unwrap_err()["code"],
        -32001
    );
    let credentials = json!({"username": "alice", "password": PASSWORD});
    assert!(server.call("login", credentials).is_ok());
}
