//! The host names by which requests address the server, and the origins of the pages that
//! call it.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use user_auth_tests::{Options, Server, command, folder};

use super::{Guarded, PING};

/// Sends a ping, or without a body gets `target`, with these header lines, and returns the
/// whole response.
fn ask(server: &Server, method: &str, target: &str, fields: &str) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let body = if method == "POST" { PING } else { "" };
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    // A connection that is closed with unread bytes may be reset.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

const MALFORMED: [&str; 27] = [
    "localhost:80.evil.example",
    "localhost:evil.example",
    "[::1].evil.example",
    "[::1]evil",
    "[::1]:80:80",
    "127.0.0.1:99999",
    "127.0.0.1:0",
    "localhost:",
    "localhost:080",
    "localhost:+80",
    "localhost:80 ",
    "localhost, evil.example",
    "localhost/",
    "localhost?",
    "localhost\\evil.example",
    "user@localhost",
    "user:password@localhost",
    "%6cocalhost",
    "localhost.",
    ".localhost",
    "local..host",
    "127.1",
    "0x7f.0.0.1",
    "127.0.0.1.1",
    "[127.0.0.1]",
    "[fe80::1%25eth0]",
    "::1",
];

#[test]
fn attack_47_a_host_is_matched_in_full_or_refused() {
    let server = Options::new().store("memory").start();
    let post = |fields: &str| ask(&server, "POST", "/mcp", fields);
    for host in [
        "localhost",
        "LocalHost:8000",
        "127.0.0.1:65535",
        "127.1.2.3",
        "[::1]",
        "[::1]:8000",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
    ] {
        let answer = post(&format!("Host: {host}\r\n"));
        assert_eq!(status(&answer), "200", "{host}: {answer}");
    }
    for host in MALFORMED {
        // White space around a value is not part of it.
        let expected = if host.ends_with(' ') { "200" } else { "400" };
        let fields = format!("Host: {host}\r\n");
        let answer = post(&fields);
        assert_eq!(status(&answer), expected, "{host}: {answer}");
        // RFC 9112 section 3.2: whatever the request target.
        for path in [
            "/health",
            "/ready",
            "/verify",
            "/metrics",
            "/mcp/server-card",
        ] {
            let answer = ask(&server, "GET", path, &fields);
            let refused = status(&answer) == "400";
            assert_eq!(refused, expected == "400", "{path} {host}: {answer}");
            assert!(!answer.contains("evil"), "{path} {host}: {answer}");
        }
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
    ] {
        let answer = post(&format!("Host: {host}\r\n"));
        assert_eq!(status(&answer), "403", "{host}: {answer}");
    }
    for fields in ["", "Host: localhost\r\nHost: localhost\r\n", "Host:\r\n"] {
        for (method, path) in [("POST", "/mcp"), ("GET", "/health"), ("GET", "/verify")] {
            let answer = ask(&server, method, path, fields);
            assert_eq!(status(&answer), "400", "{path} {fields:?}: {answer}");
        }
    }
}

#[test]
fn attack_47_the_host_in_a_target_must_equal_the_header() {
    let server = Options::new().store("memory").start();
    for (target, host, expected) in [
        ("http://localhost/mcp", "localhost", "200"),
        ("HTTP://LOCALHOST/mcp", "localhost:80", "200"),
        ("https://localhost/mcp", "localhost:443", "200"),
        ("http://localhost:8000/mcp", "localhost:8000", "200"),
        ("http://localhost/mcp", "evil.example", "400"),
        ("http://localhost:8000/mcp", "localhost", "400"),
        ("http://evil.example/mcp", "evil.example", "403"),
        ("http://evil.example/mcp", "localhost", "400"),
        ("http://user@localhost/mcp", "localhost", "400"),
        ("http://localhost:99999/mcp", "localhost", "400"),
        ("http://[::1].evil.example/mcp", "[::1]", "400"),
        ("ftp://localhost/mcp", "localhost", "400"),
    ] {
        let answer = ask(&server, "POST", target, &format!("Host: {host}\r\n"));
        assert_eq!(status(&answer), expected, "{target} {host}: {answer}");
    }
    // The other forms of request targets are not supported.
    for (method, target) in [("OPTIONS", "*"), ("CONNECT", "localhost:80")] {
        let answer = ask(&server, method, target, "Host: localhost:80\r\n");
        assert_eq!(status(&answer), "404", "{method}: {answer}");
    }
}

#[test]
fn attack_47_the_server_card_contains_no_invalid_address() {
    let server = Options::new().store("memory").start();
    let card = |host: &str| {
        let answer = ask(
            &server,
            "GET",
            "/mcp/server-card",
            &format!("Host: {host}\r\n"),
        );
        assert_eq!(status(&answer), "200", "{host}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let card: serde_json::Value = serde_json::from_str(body).unwrap();
        card["remotes"][0]["url"].as_str().unwrap().to_owned()
    };
    assert_eq!(card("LOCALHOST:8000"), "http://localhost:8000/mcp");
    assert_eq!(card("[0::1]:8000"), "http://[::1]:8000/mcp");
}

#[test]
fn attack_47_an_origin_is_matched_in_full_or_refused() {
    let guarded = Guarded::start(json!({"cors": {"allowed_origins": ["https://app.example.com"]}}));
    let ask = |origin: &str| {
        let fields = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        ask(&guarded.server, "POST", "/mcp", &fields)
    };
    let malformed = MALFORMED
        .iter()
        .map(|host| format!("http://{}", host.trim()));
    let malformed = malformed.filter(|origin| origin != "http://localhost:80");
    let others = [
        "https://app.example.com:evil",
        "https://app.example.com:443.evil.example",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://app.example.com.",
        "https://app.example.com.evil.example",
        "https://app.example.com https://evil.example",
        "https://x.app.example.com",
        "http://app.example.com",
        "app.example.com",
        "//app.example.com",
        "https:app.example.com",
        "chrome-extension://abcdefghijklmnop",
        "tauri://localhost",
        "null",
        "",
    ];
    for origin in malformed.chain(others.map(str::to_owned)) {
        let answer = ask(&origin);
        assert_eq!(status(&answer), "403", "{origin}: {answer}");
        assert!(!answer.contains("access-control"), "{origin}: {answer}");
    }
    for origin in [
        "https://app.example.com",
        "https://app.example.com:443",
        "HTTPS://App.Example.Com",
        "http://localhost:5173",
        "http://[::1]:5173",
    ] {
        let answer = ask(origin);
        assert_eq!(status(&answer), "200", "{origin}: {answer}");
        let told = format!("access-control-allow-origin: {origin}\r\n");
        assert!(answer.contains(&told), "{origin}: {answer}");
    }
    let twice = "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost\r\n";
    let answer = self::ask(&guarded.server, "POST", "/mcp", twice);
    assert_eq!(status(&answer), "403", "{answer}");
}

#[test]
fn a_wildcard_matches_one_label() {
    let server = Options::new()
        .store("memory")
        .arg("--allowed-host")
        .arg("*.example.com")
        .arg("--allowed-host")
        .arg("*.internal.example.org:8443")
        .arg("--allowed-origin")
        .arg("https://*.pages.example.com")
        .start();
    for (host, expected) in [
        ("a.example.com", "200"),
        ("A.Example.Com:99", "200"),
        ("a-b.example.com", "200"),
        ("example.com", "403"),
        ("a.b.example.com", "403"),
        ("a.example.com.evil.example", "403"),
        ("aexample.com", "403"),
        ("*.example.com", "400"),
        (".example.com", "400"),
        ("a.internal.example.org:8443", "200"),
        ("a.internal.example.org", "403"),
    ] {
        let answer = ask(&server, "POST", "/mcp", &format!("Host: {host}\r\n"));
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    for (origin, expected) in [
        ("https://a.pages.example.com", "200"),
        ("https://a.pages.example.com:443", "200"),
        ("https://pages.example.com", "403"),
        ("https://a.b.pages.example.com", "403"),
        ("http://a.pages.example.com", "403"),
        ("https://a.pages.example.com:8443", "403"),
        ("https://*.pages.example.com", "403"),
    ] {
        let fields = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let answer = ask(&server, "POST", "/mcp", &fields);
        assert_eq!(status(&answer), expected, "{origin}: {answer}");
    }
}

#[test]
fn patterns_that_cannot_match_are_refused_at_the_start() {
    for (option, value) in [
        ("--allowed-host", "*"),
        ("--allowed-host", "*.com"),
        ("--allowed-host", "a.*.example.com"),
        ("--allowed-host", "a*.example.com"),
        ("--allowed-host", "**.example.com"),
        ("--allowed-host", "https://auth.example.com"),
        ("--allowed-host", "auth.example.com/"),
        ("--allowed-host", "auth.example.com."),
        ("--allowed-host", "auth.example.com:99999"),
        ("--allowed-host", "auth.example.com:evil"),
        ("--allowed-host", "user@auth.example.com"),
        ("--allowed-host", "[::1].evil.example"),
        ("--allowed-origin", "https://*"),
        ("--allowed-origin", "https://*.com"),
        ("--allowed-origin", "https://a.*.example.com"),
        ("--allowed-origin", "*://app.example.com"),
        ("--allowed-origin", "https://app.example.com/"),
        ("--allowed-origin", "https://app.example.com:evil"),
        ("--allowed-origin", "https://app.example.com:99999"),
        ("--allowed-origin", "https://user@app.example.com"),
        ("--allowed-origin", "app.example.com"),
        ("--allowed-origin", "chrome-extension://"),
        ("--allowed-origin", "chrome-extension://*"),
        ("--allowed-origin", "file:///tmp/page.html"),
    ] {
        let home = folder();
        let output = command(home.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--store", "memory"])
            .args([option, value])
            // A server that starts despite the refusal must not keep the test waiting.
            .env("USER_AUTH_COMPONENT", "/nowhere.wasm")
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {log}");
        assert!(
            log.contains(&format!("'{value}'")),
            "{option} {value}: {log}"
        );
        assert!(log.contains("*.example.com"), "{option} {value}: {log}");
    }
}

#[test]
fn default_ports_may_be_omitted() {
    let server = Options::new()
        .store("memory")
        .arg("--allowed-host")
        .arg("auth.example.com:443")
        .arg("--allowed-origin")
        .arg("https://app.example.com:443")
        .arg("--allowed-origin")
        .arg("http://old.example.com:80")
        .start();
    for (host, expected) in [
        ("auth.example.com", "200"),
        ("auth.example.com:443", "200"),
        ("auth.example.com:8443", "403"),
    ] {
        let answer = ask(&server, "POST", "/mcp", &format!("Host: {host}\r\n"));
        assert_eq!(status(&answer), expected, "{host}: {answer}");
    }
    for (origin, expected) in [
        ("https://app.example.com", "200"),
        ("https://app.example.com:443", "200"),
        ("http://app.example.com:443", "403"),
        ("http://old.example.com", "200"),
        ("https://old.example.com:80", "403"),
    ] {
        let fields = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let answer = ask(&server, "POST", "/mcp", &fields);
        assert_eq!(status(&answer), expected, "{origin}: {answer}");
    }
}

#[test]
fn custom_scheme_origins_are_allowed_by_exact_name() {
    let named = [
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "tauri://localhost",
        "vscode-webview://0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "null",
    ];
    let mut options = Options::new().store("memory");
    for origin in named {
        options = options.arg("--allowed-origin").arg(origin);
    }
    let server = options.start();
    for origin in named {
        let fields = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let told = format!("access-control-allow-origin: {origin}\r\n");
        let answer = ask(&server, "POST", "/mcp", &fields);
        assert_eq!(status(&answer), "200", "{origin}: {answer}");
        assert!(answer.contains(&told), "{origin}: {answer}");
        let preflight = format!("{fields}Access-Control-Request-Method: POST\r\n");
        let answer = ask(&server, "OPTIONS", "/mcp", &preflight);
        assert_eq!(status(&answer), "200", "{origin}: {answer}");
        assert!(answer.contains(&told), "{origin}: {answer}");
    }
    for origin in [
        "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba",
        "tauri://localhost:1",
        "tauri://evil",
        "capacitor://localhost",
        "vscode-webview://evil",
        "NULL",
        "null, null",
    ] {
        let fields = format!("Host: localhost\r\nOrigin: {origin}\r\n");
        let answer = ask(&server, "POST", "/mcp", &fields);
        assert_eq!(status(&answer), "403", "{origin}: {answer}");
    }
}

/// The scheme in the server card comes from the agreed header of the proxy itself, and not
/// from what its client has sent along.
#[test]
fn only_a_trusted_proxy_can_state_that_a_request_used_https() {
    let start = |header: &str| {
        Guarded::start(json!({"trusted_proxies": ["127.0.0.1"], "forwarded_header": header}))
    };
    let scheme = |guarded: &Guarded, fields: &[&str]| {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let fields = format!("Host: localhost\r\n{fields}");
        let answer = ask(&guarded.server, "GET", "/mcp/server-card", &fields);
        let (_, url) = answer.split_once("\"url\":\"").expect(&answer);
        url.split_once("://").unwrap().0.to_owned()
    };
    let guarded = start("x-forwarded-for");
    for (fields, expected) in [
        (&["X-Forwarded-Proto: https"][..], "https"),
        (&["X-Forwarded-Proto: HTTPS"], "https"),
        (&["X-Forwarded-Proto: http"], "http"),
        (&["X-Forwarded-Proto: https, http"], "http"),
        (
            &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
            "http",
        ),
        (
            &["X-Forwarded-Proto: https", "X-Forwarded-Proto: https"],
            "http",
        ),
        (&["Forwarded: for=192.0.2.1;proto=https"], "http"),
    ] {
        assert_eq!(scheme(&guarded, fields), expected, "{fields:?}");
    }
    let guarded = start("forwarded");
    for (fields, expected) in [
        (&["Forwarded: for=192.0.2.1;proto=https"][..], "https"),
        (&["Forwarded: for=192.0.2.1;Proto=\"HTTPS\""], "https"),
        (
            &["Forwarded: for=6.6.6.6;proto=https, for=192.0.2.1;proto=http"],
            "http",
        ),
        (
            &["Forwarded: for=6.6.6.6;proto=https, for=192.0.2.1"],
            "http",
        ),
        (&["Forwarded: for=192.0.2.1;proto=https;proto=http"], "http"),
        (&["X-Forwarded-Proto: https"], "http"),
    ] {
        assert_eq!(scheme(&guarded, fields), expected, "{fields:?}");
    }
}
