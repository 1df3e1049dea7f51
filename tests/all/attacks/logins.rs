//! Guessing passwords, flooding logins and confusing their input.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_host::api::HttpRequest;
use user_auth_host::client::NoClient;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Limits, StoreKeys};
use user_auth_tests::{Options, PASSWORD, Server, Stdio, command, folder, step, totp_code};

fn login(server: &Server, username: &str, password: &str) -> Result<Value, Value> {
    server.call("login", json!({"username": username, "password": password}))
}

/// Samples alternate between the kinds, so that a change of the machine's speed affects
/// both. The test compares medians against the spread of one kind.
#[test]
fn attack_18_a_failed_login_takes_as_long_for_known_and_unknown_names() {
    // Fewer failures than one source may have.
    const ROUNDS: usize = 45;
    let server = Server::start();
    let names = |kind: &str| -> Vec<String> {
        (0..ROUNDS / 5)
            .map(|number| format!("{kind}{number}"))
            .collect()
    };
    let (known, unknown) = (names("known"), names("unknown"));
    for name in &known {
        server
            .call("register", json!({"username": name, "password": PASSWORD}))
            .unwrap();
    }
    let measure = |name: &str| {
        let began = Instant::now();
        let error = login(&server, name, "this is not the password").unwrap_err();
        assert_eq!(error["code"], -32001, "{error}");
        began.elapsed()
    };
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Fewer attempts on each name than would be throttled.
        let name = round % known.len();
        of_known.push(measure(&known[name]));
        of_unknown.push(measure(&unknown[name]));
    }
    let known = Spread::of(of_known);
    let unknown = Spread::of(of_unknown);
    let difference = known.median.abs_diff(unknown.median);
    let spread = known
        .quartiles
        .max(unknown.quartiles)
        .max(Duration::from_millis(1));
    assert!(
        difference <= spread,
        "medians differ by {difference:?}, the quartiles by {spread:?}"
    );
}

/// Logins cost the same work for every kind of account: disabled, locked, with a second
/// factor, with a password that was made unusable, or without any password.
#[test]
fn attack_18_a_login_does_the_same_work_for_every_kind_of_account() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    for name in ["known", "disabled", "stopped", "forced"] {
        let account = json!({"username": name, "password": PASSWORD});
        server.call("register", account).unwrap();
    }
    let tokens = server.new_session("guarded");
    let own = json!({"access_token": tokens["access_token"]});
    let secret = server.call("enroll_totp", own.clone()).unwrap()["secret"].take();
    let confirm = |_| {
        let mut input = own.clone();
        input["code"] = json!(totp_code(secret.as_str().unwrap(), step()));
        server.call("confirm_totp", input).ok()
    };
    (0..3).find_map(confirm).unwrap();
    for (operation, name) in [
        ("disable_user", "disabled"),
        ("disable_user", "stopped"),
        ("force_password_reset", "forced"),
        ("create_service_account", "program"),
    ] {
        let called = command(home.path())
            .args(["call", operation, &format!("username={name}")])
            .output();
        assert!(called.unwrap().status.success(), "{operation}");
    }
    let work = || {
        let metrics = server.resource("mcp://user-auth/metrics");
        let count = |part: &str, name: &str| metrics[part][name].as_u64().unwrap();
        [
            count("store", "reads"),
            count("store", "commits"),
            count("password_hash", "completed"),
        ]
    };
    let observe = |name: &str, password: &str| {
        let before = work();
        let mut error = login(&server, name, password).unwrap_err();
        error["data"]["timestamp"].take();
        let after = work();
        let done: Vec<u64> = after.iter().zip(before).map(|(b, a)| b - a).collect();
        (error, done)
    };
    for round in 0..12 {
        let is_locked = round >= 10;
        let wrong = "this is not the password";
        let of_unknown = observe("unknown", wrong);
        let (error, done) = &of_unknown;
        assert_eq!(error["code"], if is_locked { -32003 } else { -32001 });
        assert_eq!(done[2], u64::from(!is_locked), "hashes");
        let right_once_locked = if is_locked { PASSWORD } else { wrong };
        assert_eq!(observe("known", right_once_locked), of_unknown, "{round}");
        assert_eq!(observe("disabled", wrong), of_unknown, "{round}");
        for name in ["stopped", "forced", "program"] {
            assert_eq!(observe(name, PASSWORD), of_unknown, "{name} {round}");
        }
        assert_eq!(observe("guarded", right_once_locked), of_unknown, "{round}");
    }
}

pub(super) struct Spread {
    pub(super) median: Duration,
    pub(super) quartiles: Duration,
}

impl Spread {
    pub(super) fn of(mut samples: Vec<Duration>) -> Spread {
        samples.sort();
        let at = |quarter: usize| samples[(samples.len() - 1) * quarter / 4];
        Spread {
            median: at(2),
            quartiles: at(3) - at(1),
        }
    }
}

#[test]
fn attack_20_guesses_from_elsewhere_do_not_lock_a_user_out() {
    let server = Server::start();
    server.new_session("victim");
    for _ in 0..12 {
        login(&server, "victim", "some wrong password").unwrap_err();
    }
    // This machine's address is now throttled; the owner logs in from another.
    assert_eq!(
        login(&server, "victim", PASSWORD).unwrap_err()["code"],
        -32003
    );
    let right = json!({"username": "victim", "password": PASSWORD});
    assert!(server.call_from("127.0.0.3", "login", right).is_ok());
}

#[test]
fn attack_20_guesses_from_many_sources_are_throttled_without_locking_out_the_owner() {
    let server = Server::start();
    server.new_session("victim");
    let from = |source: &str, username: &str, password: &str| {
        let input = json!({"username": username, "password": password});
        let answer = server.call_from(source, "login", input);
        answer.map_err(|error| error["code"].as_i64().unwrap())
    };
    for username in ["victim", "unknown"] {
        for guess in 0..100 {
            let source = format!("127.0.{}.{}", username.len(), guess / 10 + 1);
            let answer = from(&source, username, "some wrong password");
            assert_eq!(answer, Err(-32001), "{username} {guess}");
        }
        let answer = from("127.0.2.1", username, PASSWORD);
        assert_eq!(answer, Err(-32003), "{username}");
    }
    assert!(from("127.0.0.1", "victim", PASSWORD).is_ok());
}

#[test]
fn attack_21_spraying_one_password_over_many_names_is_throttled() {
    let server = Server::start();
    let codes: Vec<i64> = (0..102)
        .map(|number| {
            let error = login(&server, &format!("name{number}"), "Summer2026 Summer2026");
            error.unwrap_err()["code"].as_i64().unwrap()
        })
        .collect();
    assert!(codes[..100].iter().all(|code| *code == -32001), "{codes:?}");
    assert!(codes[100..].iter().all(|code| *code == -32003), "{codes:?}");
}

#[test]
fn attack_22_forged_source_headers_do_not_avoid_throttling() {
    let server = Server::start();
    server.new_session("alice");
    let params = json!({
        "name": "user-auth_login",
        "arguments": {"username": "alice", "password": "some wrong password"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut codes = Vec::new();
    for number in 0..12 {
        let forged = format!("198.51.100.{number}");
        let forwarded = format!("for={forged}");
        let headers = [
            ("x-forwarded-for", forged.as_str()),
            ("x-real-ip", forged.as_str()),
            ("forwarded", forwarded.as_str()),
        ];
        let answer = server.post(&headers, body.to_string()).json();
        codes.push(answer["error"]["code"].as_i64().unwrap());
    }
    assert_eq!(codes[10..], [-32003, -32003], "{codes:?}");
}

/// A single subscriber owns a whole /64 of IPv6 addresses, and an IPv4 address can be
/// written as an IPv6 one.
#[tokio::test(flavor = "multi_thread")]
async fn attack_22_a_subnet_and_all_spellings_of_an_address_count_as_one_source() {
    let store = Arc::new(MemoryStore::new());
    let plugin = super::plugin(store, StoreKeys::ephemeral().unwrap(), Limits::default());
    let guess = async |peer: String, username: &str| {
        let params = json!({
            "name": "user-auth_login",
            "arguments": {"username": username, "password": "some wrong password"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = HttpRequest {
            method: "POST".to_owned(),
            target: "/mcp".to_owned(),
            authority: None,
            tls: false,
            headers: Vec::new(),
            api_key_header: "X-API-Key".to_owned(),
            peer: Some(peer),
            body: body.to_string().into(),
        };
        let answer = plugin
            .handle_http(&request, Arc::new(NoClient))
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.body.unwrap()).unwrap();
        answer["error"]["code"].as_i64().unwrap()
    };
    for number in 1..=12 {
        let address = format!("2001:db8:0:1:{number:x}:0:0:{number:x}");
        let code = guess(address, "alice").await;
        let expected = if number <= 10 { -32001 } else { -32003 };
        assert_eq!(code, expected, "{number} of one /64");
    }
    assert_eq!(guess("2001:db8:0:2::1".into(), "alice").await, -32001);

    let spellings = [
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::ffff:c000:201",
        "0:0:0:0:0:FFFF:C000:0201",
    ];
    for (number, spelling) in spellings.iter().cycle().take(12).enumerate() {
        let code = guess((*spelling).into(), "bob").await;
        let expected = if number < 10 { -32001 } else { -32003 };
        assert_eq!(code, expected, "{number}: {spelling}");
    }
}

#[test]
fn attack_26_passwords_are_compared_in_full_at_every_length() {
    let server = Server::start();
    let register = |username: &str, password: &str| {
        server.call(
            "register",
            json!({"username": username, "password": password}),
        )
    };
    // Squares: neither repetitions nor sequences, which are refused at any length.
    let long: String = (10..400_u32)
        .map(|number| format!("{}.", number * number))
        .collect();
    for length in [15, 64, 72, 73, 128, 1024] {
        let name = format!("user{length}");
        let password = long[..length].to_owned();
        register(&name, &password).unwrap();
        assert!(login(&server, &name, &password).is_ok(), "{length}");
        let other = format!("{}x", &password[..length - 1]);
        assert!(
            login(&server, &name, &other).is_err(),
            "{length}: every character counts"
        );
        assert!(
            login(&server, &name, &password[..length - 1]).is_err(),
            "{length}"
        );
    }
    for password in [&long[..14], &long[..1025], &"x".repeat(1_000_000)] {
        assert_eq!(register("long", password).unwrap_err()["code"], -32000);
    }
    let nul = register("nul", "a password with \0 in it").unwrap_err();
    assert_eq!(nul["code"], -32000);
}

#[test]
fn attack_27_look_alike_names_do_not_reach_another_account() {
    let server = Server::start();
    let register = |username: &str, password: &str| {
        server.call(
            "register",
            json!({"username": username, "password": password}),
        )
    };
    register("rené", "le café de la gare du Nord").unwrap();
    assert!(login(&server, "rene\u{301}", "le cafe\u{301} de la gare du Nord").is_ok());
    assert_eq!(
        register("RENE\u{301}", PASSWORD).unwrap_err()["code"],
        -32000
    );
    // Each look-alike is either refused or a name different from the one that it resembles.
    register("kelvin", PASSWORD).unwrap();
    register("strasse", PASSWORD).unwrap();
    register("info", PASSWORD).unwrap();
    for (look_alike, name) in [
        ("\u{212a}elvin", "kelvin"),
        ("straße", "strasse"),
        ("\u{131}nfo", "info"),
        ("\u{130}nfo", "info"),
    ] {
        if let Ok(account) = register(look_alike, "quite another password") {
            assert_ne!(account["username"], name, "{look_alike}");
        }
        assert!(
            login(&server, name, "quite another password").is_err(),
            "{look_alike}"
        );
        assert!(login(&server, name, PASSWORD).is_ok(), "{look_alike}");
        assert!(
            login(&server, look_alike, PASSWORD).is_err(),
            "{look_alike}"
        );
    }
}

#[test]
fn attack_28_unknown_and_privileged_fields_are_refused() {
    let server = Server::start();
    for field in [
        "role",
        "roles",
        "verified",
        "status",
        "tenant",
        "user_id",
        "created_at",
        "id",
    ] {
        let input = json!({"username": "eve", "password": PASSWORD, field: "admin"});
        let error = server.call("register", input).unwrap_err();
        assert_eq!(error["code"], -32000, "{field}");
        assert!(error.to_string().contains(field), "{error}");
    }
    assert!(login(&server, "eve", PASSWORD).is_err(), "nothing was made");
}

#[test]
fn attack_32_line_breaks_and_escapes_in_names_are_refused() {
    let server = Server::start();
    for name in [
        "eve\r\nadmin",
        "eve\nadmin",
        "\u{1b}[2Jeve",
        "eve\u{0}",
        "eve\u{202e}",
    ] {
        let input = json!({"username": name, "password": PASSWORD});
        assert_eq!(
            server.call("register", input).unwrap_err()["code"],
            -32000,
            "{name:?}"
        );
    }
    let mut client = Stdio::start(&["--store", "memory"]);
    let input = json!({"username": "a\nb\u{1b}[31m", "password": PASSWORD});
    let answer = client.call("register", input);
    assert_eq!(
        answer["error"]["code"].as_i64().or(Some(-32000)),
        Some(-32000)
    );
    client.request(7, "ping", json!({}));
    assert_eq!(client.receive()["id"], 7, "one line for each message");
}

/// Whatever is sent, the log has one JSON object per line, and no header of a response
/// carries another caller's data.
#[test]
fn attack_32_log_lines_and_headers_cannot_be_forged() {
    let server = Options::new().env("LOG_LEVEL", "DEBUG").start();
    let tokens = server.new_session("alice");
    let forged = "eve\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\n\u{1b}[2J";
    let bearer = json!(tokens["access_token"]);
    for (operation, arguments) in [
        ("login", json!({"username": forged, "password": PASSWORD})),
        ("login", json!({"username": "alice", "password": forged})),
        (
            "register",
            json!({"username": "eve", "password": PASSWORD, "email": forged}),
        ),
        ("verify_token", json!({"token": "x", "audience": forged})),
        ("get_session", json!({"access_token": forged})),
        (
            "create_api_key",
            json!({"access_token": bearer, "name": forged}),
        ),
        ("revoke_token", json!({"token": forged})),
        (forged, json!({forged: forged})),
    ] {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        let body =
            json!({"jsonrpc": "2.0", "id": forged, "method": "tools/call", "params": params});
        let answer = server.post(&[], body.to_string());
        assert!(answer.json().is_object(), "{operation}");
        assert!(answer.header("level").is_none() && answer.header("set-cookie").is_none());
    }
    server.rpc(forged, json!({"uri": forged}));
    server.rpc(
        "resources/read",
        json!({"uri": format!("mcp://user-auth/sessions/{forged}")}),
    );
    for header in [
        "mcp-name: a\u{1b}[2J",
        "authorization: Bearer a\rb",
        "mcp-name: a\0",
    ] {
        let answer = server.raw(header);
        assert!(answer.starts_with("HTTP/1.1 400"), "{header:?}: {answer}");
    }

    let (_, log) = server.stop();
    let mut lines = 0;
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or(Value::Null);
        assert!(entry.is_object(), "{line:?}");
        assert_ne!(entry["message"], "forged", "{line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
        lines += 1;
    }
    assert!(lines > 0, "something was logged");
}
