//! A clock that jumps.

use std::path::Path;

use serde_json::{Value, json};
use user_auth_tests::{Clock, Options, PASSWORD, Server, folder, totp_code};

/// Starts a server with a clock of its own.
fn start(home: &Path) -> (Clock, Server) {
    let clock = Clock::new(home);
    let server = Options::new().home(home).clock(&clock).start();
    (clock, server)
}

#[test]
fn clock_jumps_neither_revive_ended_tokens_nor_end_live_sessions() {
    let home = folder();
    let (clock, server) = start(home.path());
    let live = server.new_session("alice");
    let ended = server.call("login", account("alice")).unwrap();
    let access = json!({"access_token": ended["access_token"]});
    server.call("logout", access).unwrap();
    assert!(is_active(&server, &live));

    // Two hours ahead: the access token has expired, the session has not.
    clock.set("+2h");
    assert!(!is_active(&server, &live));
    let renewed = refresh(&server, &live).unwrap();
    assert!(is_active(&server, &renewed));

    // One day back: tokens issued later are not valid yet, and nothing is valid for longer
    // than before.
    clock.set("-1d");
    assert!(!is_active(&server, &renewed));
    assert!(!is_active(&server, &ended));
    let early = server.call("login", account("alice")).unwrap();
    assert!(is_active(&server, &early));

    // Forty days ahead: beyond the longest lifetime of a session.
    clock.set("+40d");
    for dead in [&early, &renewed, &ended] {
        assert!(!is_active(&server, dead));
        assert_eq!(refresh(&server, dead).unwrap_err()["code"], -32001);
    }
    let late = server.call("login", account("alice")).unwrap();
    assert!(is_active(&server, &late));

    // The right time again. The used refresh token has not become valid again.
    clock.set("+0");
    let error = refresh(&server, &live).unwrap_err();
    assert_eq!(error["code"], -32001);
    let now = server.call("login", account("alice")).unwrap();
    assert!(is_active(&server, &now));
    let now = json!({"access_token": now["access_token"]});
    let chain = server.call("verify_audit_chain", now).unwrap();
    assert_eq!(chain["intact"], true, "{chain}");
}

#[test]
fn an_authenticator_code_works_once_across_clock_jumps() {
    let home = folder();
    let (clock, server) = start(home.path());
    let session = server.new_session("bob");
    let access = &session["access_token"];
    let begun = server.call("enroll_totp", json!({"access_token": access}));
    let secret = begun.unwrap()["secret"].as_str().unwrap().to_owned();
    // The authenticator app follows the server's clock.
    let enrolled = with_code(&secret, user_auth_tests::step(), |code| {
        server.call(
            "confirm_totp",
            json!({"access_token": access, "code": code}),
        )
    });
    enrolled.unwrap();

    clock.set("+1h");
    let step = user_auth_tests::step() + 120;
    let code = totp_code(&secret, step);
    assert!(second_factor(&server, &code).is_ok());
    for offset in ["+1h", "-1h", "+1h"] {
        clock.set(offset);
        let again = second_factor(&server, &code).unwrap_err();
        assert_eq!(again["code"], -32001, "again at {offset}");
    }
}

/// Logs in with the password and then the code.
fn second_factor(server: &Server, code: &str) -> Result<Value, Value> {
    let challenge = server.call("login", account("bob")).unwrap();
    let challenge = &challenge["challenge"];
    server.call(
        "complete_login",
        json!({"challenge": challenge, "code": code}),
    )
}

/// Retries once with the next code, since a step may end while a test is at work.
fn with_code<T>(
    secret: &str,
    step: u64,
    mut try_with: impl FnMut(String) -> Result<T, Value>,
) -> Result<T, Value> {
    try_with(totp_code(secret, step)).or_else(|_| try_with(totp_code(secret, step + 1)))
}

fn refresh(server: &Server, tokens: &Value) -> Result<Value, Value> {
    server.call(
        "refresh_token",
        json!({"refresh_token": tokens["refresh_token"]}),
    )
}

fn is_active(server: &Server, tokens: &Value) -> bool {
    let token = json!({"token": tokens["access_token"]});
    server
        .call("verify_token", token)
        .is_ok_and(|answer| answer["active"] == true)
}

fn account(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}
