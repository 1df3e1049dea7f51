//! Rate limits, and what counts as one caller.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};
use user_auth_tests::{Answer, Options};

use super::{Guarded, burst, keys_only, secret};
use crate::http::assert_error_object;

pub(super) fn assert_limited(answer: &Answer, id: Value) {
    assert_eq!(answer.json()["id"], id, "{}", answer.text);
    assert_limited_at(answer, "mcp");
}

/// Asserts that a request for this operation was refused for its rate.
pub(super) fn assert_limited_at(answer: &Answer, operation: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let body = answer.json();
    assert_error_object(&body["error"], -32003, operation);
    let details = &body["error"]["data"]["details"];
    assert_eq!(details["retry_after_seconds"], seconds);
}

#[test]
fn a_burst_is_served_and_the_next_request_is_limited() {
    let guarded = Guarded::start(json!({"rate_limiting": burst(5)}));
    for _ in 0..5 {
        assert_eq!(guarded.ping(&[]).status, 200);
    }
    assert_limited(&guarded.ping(&[]), json!(7));
    assert_limited(&guarded.server.post(&[], "{"), Value::Null);
    for path in ["/metrics", "/mcp/server-card", "/openapi.json", "/nothing"] {
        assert_limited(&guarded.server.get(path, &[]), Value::Null);
    }
    assert_limited_at(&guarded.server.get("/api/login", &[]), "login");
    for path in ["/health", "/ready"] {
        assert_eq!(guarded.server.get(path, &[]).status, 200, "{path}");
    }
}

#[test]
fn without_the_setting_there_is_no_rate_limit() {
    let guarded = Guarded::start(json!({}));
    for _ in 0..200 {
        assert_eq!(guarded.ping(&[]).status, 200);
    }
}

#[test]
fn made_up_keys_share_the_rate_of_their_source() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(5);
    let guarded = Guarded::start(security);
    for number in 0..5 {
        let made_up = format!("uak_{number}");
        assert_eq!(guarded.ping(&[("x-api-key", &made_up)]).status, 401);
    }
    for number in 5..20 {
        let made_up = format!("uak_{number}");
        assert_limited(&guarded.ping(&[("x-api-key", &made_up)]), json!(7));
    }
}

#[test]
fn a_valid_key_has_a_rate_of_its_own() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(3);
    let guarded = Guarded::start(security);
    let (first, second) = (guarded.program("a", &[]), guarded.program("b", &[]));
    let first = [("x-api-key", secret(&first))];
    let second = [("x-api-key", secret(&second))];
    // The first request counts for the source, the next three for the key.
    for _ in 0..4 {
        assert_eq!(guarded.ping(&first).status, 200);
    }
    assert_limited(&guarded.ping(&first), json!(7));
    // Another key is another caller, and guesses do not use up its rate.
    assert_eq!(guarded.ping(&second).status, 200);
    assert_eq!(guarded.ping(&[]).status, 401);
    assert_limited(&guarded.ping(&[]), json!(7));
    for _ in 0..3 {
        assert_eq!(guarded.ping(&second).status, 200);
    }
    assert_limited(&guarded.ping(&second), json!(7));
}

#[test]
fn a_revoked_key_counts_for_its_source() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(3);
    let guarded = Guarded::start(security);
    let key = guarded.program("a", &[]);
    let header = [("x-api-key", secret(&key))];
    assert_eq!(guarded.ping(&header).status, 200);
    guarded.operate("revoke_api_key", json!({"key_id": key["key_id"]}));
    // The first request counts for the key, the next ones for the source, which had three.
    for _ in 0..3 {
        assert_eq!(guarded.ping(&header).status, 401);
    }
    assert_limited(&guarded.ping(&header), json!(7));
}

#[test]
fn forwarding_headers_of_untrusted_clients_are_ignored() {
    let guarded = Guarded::start(json!({"rate_limiting": burst(3)}));
    for number in 0..3 {
        let address = format!("192.0.2.{number}");
        let headers = [
            ("x-forwarded-for", &*address),
            ("forwarded", "for=192.0.2.9"),
        ];
        assert_eq!(guarded.ping(&headers).status, 200);
    }
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.77"),
        ("forwarded", "for=192.0.2.77"),
        ("x-real-ip", "192.0.2.77"),
    ] {
        assert_limited(&guarded.ping(&[(name, value)]), json!(7));
    }
}

#[test]
fn forwarding_headers_of_trusted_proxies_name_the_client() {
    let security = |header: &str| {
        json!({
            "rate_limiting": burst(2),
            // One address, and one network.
            "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"],
            "forwarded_header": header,
        })
    };
    let guarded = Guarded::start(security("x-forwarded-for"));
    let from = |value: &str| guarded.ping(&[("x-forwarded-for", value)]);
    for source in ["192.0.2.1", "6.6.6.6, 192.0.2.1, 10.1.2.3"] {
        assert_eq!(from(source).status, 200);
    }
    // Entries to the left of the client's address were made up by the client.
    for number in 0..5 {
        assert_limited(&from(&format!("198.51.100.{number}, 192.0.2.1")), json!(7));
    }
    assert_eq!(from("192.0.2.2").status, 200);
    for v6 in ["2001:db8::1", "[2001:db8::2]:4711"] {
        assert_eq!(from(v6).status, 200);
    }
    assert_limited(&from("2001:db8::3"), json!(7));
    // An unreadable header counts for the proxy, and so does the other header.
    assert_eq!(from("192.0.2.3, rubbish").status, 200);
    assert_eq!(guarded.ping(&[("forwarded", "for=192.0.2.4")]).status, 200);
    assert_limited(&from("192.0.2.5, unknown"), json!(7));

    let guarded = Guarded::start(security("forwarded"));
    for _ in 0..2 {
        let header = ("forwarded", "for=6.6.6.6, for=\"192.0.2.1:1\";proto=https");
        assert_eq!(guarded.ping(&[header]).status, 200);
    }
    let again = [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.9"),
    ];
    assert_limited(&guarded.ping(&again), json!(7));
}

/// The component throttles guesses by the same address.
#[test]
fn the_component_gets_the_client_address_behind_a_proxy() {
    let guarded = Guarded::start(json!({"trusted_proxies": ["127.0.0.1"]}));
    let login = |address: &str| {
        let input = json!({"username": "alice", "password": "this is not the one"});
        let params = json!({"name": "user-auth_login", "arguments": input});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let headers = [("x-forwarded-for", address)];
        guarded.server.post(&headers, body.to_string()).json()["error"]["code"].clone()
    };
    for _ in 0..10 {
        assert_eq!(login("192.0.2.1"), -32001);
    }
    assert_eq!(login("192.0.2.1"), -32003);
    assert_eq!(login("192.0.2.2"), -32001);
}

#[test]
fn an_invalid_proxy_setting_is_refused_at_the_start() {
    let home = user_auth_tests::folder();
    let file = super::configure(home.path(), json!({"trusted_proxies": ["10.0.0.0/99"]}));
    let output = user_auth_tests::command(home.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--config", &file])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("10.0.0.0/99"), "{log}");
}

/// Callers that are refused anyway get no memory for bodies, however many they begin.
#[test]
fn bodies_of_rate_limited_callers_use_no_shared_memory() {
    let home = user_auth_tests::folder();
    let file = super::configure(home.path(), json!({"rate_limiting": burst(1)}));
    let server = Options::new()
        .home(home.path())
        .arg("--config")
        .arg(&file)
        .env("USER_AUTH_LIMITS_BODIES_BYTES", "1048576")
        .env("USER_AUTH_LIMITS_CALL_QUEUE_WAIT_MS", "200")
        .start();
    assert_eq!(server.post(&[], super::PING).status, 200);
    let host = server.url.trim_start_matches("http://");
    let begun: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(host).unwrap();
            let head = format!(
                "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                 Content-Length: 1000000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b' '; 900_000]).unwrap();
            stream
        })
        .collect();
    let answer = server.call_from("127.0.0.2", "get_capabilities", json!({}));
    assert!(answer.is_ok(), "{answer:?}");
    drop(begun);
}
