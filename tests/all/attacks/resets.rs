//! Attacks on the password reset by email.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, Webhook};

use super::logins::Spread;

const NEW_PASSWORD: &str = "another good long password";

fn server(webhook: &Webhook) -> Server {
    Options::new().arg("--delivery").arg(&webhook.url).start()
}

/// Registers a user with a verified address, and logs them in.
fn verified(server: &Server, webhook: &Webhook, username: &str) -> Value {
    let email = format!("{username}@example.com");
    let account = json!({"username": username, "password": PASSWORD, "email": email});
    server.call("register", account).unwrap();
    let credentials = json!({"username": username, "password": PASSWORD});
    let tokens = server.call("login", credentials).unwrap();
    let own = json!({"access_token": tokens["access_token"]});
    server.call("request_email_verification", own).unwrap();
    let code = webhook.code("email-verification");
    let confirm = json!({"code": code, "access_token": tokens["access_token"]});
    server.call("confirm_email", confirm).unwrap();
    tokens
}

fn request(server: &Server, username: &str) -> Value {
    let input = json!({"username": username});
    server.call("request_password_reset", input).unwrap()
}

fn reset(server: &Server, code: &str) -> Result<Value, Value> {
    let input = json!({"code": code, "new_password": NEW_PASSWORD});
    server.call("confirm_password_reset", input)
}

fn is_active(server: &Server, tokens: &Value) -> bool {
    let answer = server.call("verify_token", json!({"token": tokens["access_token"]}));
    answer.unwrap()["active"] == true
}

/// Returns how often the store has been read and written.
fn store_work(server: &Server) -> (u64, u64) {
    let metrics = server.resource("mcp://user-auth/metrics");
    let count = |name: &str| metrics["store"][name].as_u64().unwrap();
    (count("reads"), count("commits"))
}

#[test]
fn attack_19_registration_and_reset_do_not_reveal_which_addresses_are_known() {
    let webhook = Webhook::start();
    let server = server(&webhook);
    verified(&server, &webhook, "alice");
    let observe = |operation: &str, arguments: Value| {
        let before = store_work(&server);
        let answer = server.call(operation, arguments).unwrap();
        let after = store_work(&server);
        (answer, (after.0 - before.0, after.1 - before.1))
    };

    let register = |username: &str, email: &str| {
        let input = json!({"username": username, "password": PASSWORD, "email": email});
        let (mut answer, work) = observe("register", input);
        for differs in ["user_id", "username", "created_at"] {
            answer[differs].take();
        }
        (answer, work)
    };
    let known = register("mallory1", "alice@example.com");
    assert_eq!(register("mallory2", "unknown@example.com"), known);

    let by_name = observe("request_password_reset", json!({"username": "alice"}));
    let code = webhook.code("password-reset");
    for other in [
        json!({"username": "unknown"}),
        json!({"username": "mallory1"}),
        json!({"email": "unknown@example.com"}),
    ] {
        assert_eq!(observe("request_password_reset", other), by_name);
    }
    let by_address = json!({"email": "ALICE@example.com"});
    assert_eq!(observe("request_password_reset", by_address), by_name);
    assert_ne!(webhook.code("password-reset"), code);
    assert!(webhook.is_empty(), "no other message was sent");
}

/// Samples alternate as for logins. Each kind follows each kind equally often, since a
/// message that is still being delivered slows down the next request.
#[test]
fn attack_19_a_reset_request_takes_as_long_for_known_and_unknown_accounts() {
    // Each account is sent at most three codes, and one source may ask for a hundred.
    const ACCOUNTS: usize = 15;
    const ROUNDS: usize = ACCOUNTS * 3;
    let webhook = Webhook::start();
    let server = server(&webhook);
    for number in 0..ACCOUNTS {
        verified(&server, &webhook, &format!("known{number}"));
    }
    // From now on the webhook does not answer: a response that waited for it would be late.
    for _ in 0..ROUNDS * 2 {
        webhook.stall();
    }
    let measure = |name: String| {
        let began = Instant::now();
        request(&server, &name);
        began.elapsed()
    };
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let account = round % ACCOUNTS;
        let (known, unknown) = (format!("known{account}"), format!("unknown{account}"));
        match round % 2 {
            0 => {
                of_known.push(measure(known));
                of_unknown.push(measure(unknown));
            }
            _ => {
                of_unknown.push(measure(unknown));
                of_known.push(measure(known));
            }
        }
    }
    let known = Spread::of(of_known);
    let unknown = Spread::of(of_unknown);
    let difference = known.median.abs_diff(unknown.median);
    let spread = known
        .quartiles
        .max(unknown.quartiles)
        .max(Duration::from_micros(200));
    assert!(
        difference <= spread,
        "medians differ by {difference:?}, the quartiles by {spread:?}"
    );
}

#[test]
fn attack_24_a_reset_code_works_once_and_not_after_a_newer_one() {
    const PARALLEL: usize = 8;
    for store in [None, Some("memory")] {
        let webhook = Webhook::start();
        let options = Options::new().arg("--delivery").arg(&webhook.url);
        let server = match store {
            Some(store) => options.store(store).start(),
            None => options.start(),
        };
        for username in ["alice", "bob", "carol"] {
            verified(&server, &webhook, username);
            request(&server, username);
            let older = webhook.code("password-reset");
            request(&server, username);
            let code = webhook.code("password-reset");
            assert_eq!(reset(&server, &older).unwrap_err()["code"], -32001);

            let barrier = Barrier::new(PARALLEL);
            let answers: Vec<Result<Value, Value>> = thread::scope(|scope| {
                let threads: Vec<_> = (0..PARALLEL)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            reset(&server, &code)
                        })
                    })
                    .collect();
                threads.into_iter().map(|it| it.join().unwrap()).collect()
            });
            let won = answers.iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(won, 1, "{answers:?}");
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_eq!(error["code"], -32001, "{error}");
            }
            webhook.notice("password-changed", &format!("{username}@example.com"));
            assert!(webhook.is_empty(), "one change, one notice");
            assert_eq!(reset(&server, &code).unwrap_err()["code"], -32001);
            let credentials = json!({"username": username, "password": NEW_PASSWORD});
            server.call("login", credentials).unwrap();
        }
    }
}

#[test]
fn attack_25_a_reset_code_is_invalid_after_the_address_changed() {
    let webhook = Webhook::start();
    let server = server(&webhook);
    let tokens = verified(&server, &webhook, "alice");
    // An attacker who reads the old mailbox asks for a code, and waits.
    request(&server, "alice");
    let stolen = webhook.code("password-reset");

    let change = json!({
        "access_token": tokens["access_token"],
        "email": "new@example.com",
    });
    server.call("request_email_change", change).unwrap();
    let messages = [webhook.receive().json(), webhook.receive().json()];
    let of_kind = |kind: &str| messages.iter().find(|it| it["kind"] == kind).unwrap();
    let notice = of_kind("email-change-requested");
    assert_eq!(notice["to"], "alice@example.com");
    let change = of_kind("email-change");
    assert_eq!(change["to"], "new@example.com");
    let code = json!({"code": change["code"], "access_token": tokens["access_token"]});
    server.call("confirm_email", code.clone()).unwrap();
    webhook.notice("email-changed", "alice@example.com");

    assert_eq!(reset(&server, &stolen).unwrap_err()["code"], -32001);
    assert_eq!(
        server.call("confirm_email", code).unwrap_err()["code"],
        -32001
    );
    let old = json!({"email": "alice@example.com"});
    server.call("request_password_reset", old).unwrap();
    assert!(is_active(&server, &tokens));
    request(&server, "alice");
    let message = webhook.receive().json();
    assert_eq!(message["to"], "new@example.com", "{message}");
    reset(&server, message["code"].as_str().unwrap()).unwrap();
}

#[test]
fn attack_31_sessions_and_api_keys_end_with_a_reset() {
    let webhook = Webhook::start();
    let server = server(&webhook);
    // A thief is logged in as well, and has made a key to come back with.
    let stolen = verified(&server, &webhook, "alice");
    let key = json!({"access_token": stolen["access_token"], "name": "k"});
    let key = server.call("create_api_key", key).unwrap();
    webhook.notice("api-key-created", "alice@example.com");
    let params = json!({"name": "user-auth_list_api_keys", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let by_key = || {
        let header = ("x-api-key", key["api_key"].as_str().unwrap());
        server.post(&[header], body.to_string()).json()["error"]["code"].take()
    };
    assert_eq!(by_key(), -32002, "the key is valid but has no scopes");

    request(&server, "alice");
    reset(&server, &webhook.code("password-reset")).unwrap();
    assert!(!is_active(&server, &stolen));
    let refresh = json!({"refresh_token": stolen["refresh_token"]});
    assert_eq!(
        server.call("refresh_token", refresh).unwrap_err()["code"],
        -32001
    );
    assert_eq!(by_key(), -32001);
    let old = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(server.call("login", old).unwrap_err()["code"], -32001);
}
