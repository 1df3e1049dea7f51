//! Web pages of other origins, and the browsers that show them.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use user_auth_tests::{Server, command, folder};

use super::{Guarded, burst, configure, keys_only, secret};

const PAGE: &str = "https://app.example.com";

fn cors() -> Value {
    json!({"enabled": true, "allowed_origins": [PAGE]})
}

/// Returns the head of a response in lower case.
fn head(server: &Server, method: &str, path: &str, fields: &str) -> String {
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    head.to_ascii_lowercase()
}

fn preflight(server: &Server, origin: &str) -> String {
    let fields = format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: content-type,x-api-key,authorization,mcp-method,traceparent\r\n"
    );
    head(server, "OPTIONS", "/mcp", &fields)
}

#[test]
fn listed_origins_may_call_and_read_the_response() {
    let mut security = keys_only();
    security["cors"] = cors();
    let guarded = Guarded::start(security);
    let told = preflight(&guarded.server, PAGE);
    assert!(told.starts_with("http/1.1 200"), "{told}");
    let value = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is missing in {told}"))
    };
    assert_eq!(value("access-control-allow-origin: "), PAGE);
    let methods = value("access-control-allow-methods: ");
    assert!(methods.contains("post"), "{methods}");
    let headers = value("access-control-allow-headers: ");
    for header in [
        "content-type",
        "x-api-key",
        "authorization",
        "mcp-method",
        "traceparent",
        "tracestate",
        "baggage",
    ] {
        assert!(headers.split(',').any(|one| one == header), "{headers}");
    }
    assert!(!told.contains("access-control-allow-credentials"), "{told}");

    let key = guarded.program("robot", &[]);
    // The page may read a refusal as well.
    for (key, status) in [(secret(&key), 200), ("uak_x", 401)] {
        let answer = guarded.ping(&[("origin", PAGE), ("x-api-key", key)]);
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for header in ["www-authenticate", "retry-after", "mcp-session-id"] {
            assert!(exposed.split(',').any(|one| one == header), "{exposed}");
        }
        assert!(answer.header("vary").unwrap().contains("origin"));
    }
}

#[test]
fn a_page_can_read_a_rate_limit_response() {
    let guarded = Guarded::start(json!({"cors": cors(), "rate_limiting": burst(1)}));
    guarded.ping(&[]);
    let answer = guarded.ping(&[("origin", PAGE)]);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
}

#[test]
fn other_origins_are_refused() {
    let guarded = Guarded::start(json!({"cors": cors()}));
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "null",
    ] {
        let told = preflight(&guarded.server, origin);
        assert!(told.starts_with("http/1.1 403"), "{origin}: {told}");
        assert!(!told.contains("access-control"), "{told}");
        let answer = guarded.ping(&[("origin", origin)]);
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn without_cors_no_cors_headers_are_sent() {
    for security in [
        json!({}),
        json!({"cors": {"enabled": false, "allowed_origins": [PAGE]}}),
    ] {
        let guarded = Guarded::start(security);
        assert_eq!(guarded.ping(&[("origin", PAGE)]).status, 403);
        let told = preflight(&guarded.server, "http://localhost:5173");
        assert!(told.starts_with("http/1.1 405"), "{told}");
        assert!(!told.contains("access-control"), "{told}");
    }
}

#[test]
fn the_option_replaces_the_origins_in_the_file() {
    let other = "https://other.example.com";
    let guarded = Guarded::start_with(json!({"cors": cors()}), |options| {
        options.arg("--allowed-origin").arg(other)
    });
    for origin in [other, "http://localhost:6274"] {
        let answer = guarded.ping(&[("origin", origin)]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
    assert_eq!(guarded.ping(&[("origin", PAGE)]).status, 403);
}

#[test]
fn a_wildcard_origin_requires_api_keys() {
    let all = json!({"enabled": true, "allowed_origins": ["*"]});
    let home = folder();
    let file = configure(home.path(), json!({"cors": all}));
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for arguments in [["--config", &file], ["--allowed-origin", "*"]] {
        let output = command(home.path()).args(serve).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains("the origin *"), "{log}");
        assert!(log.contains("security.authentication.type"), "{log}");
    }
    let mut security = keys_only();
    security["cors"] = all;
    let guarded = Guarded::start(security);
    let key = guarded.program("robot", &[]);
    let anybody = ("origin", "https://anybody.example");
    let answer = guarded.ping(&[anybody, ("x-api-key", secret(&key))]);
    assert_eq!(answer.status, 200);
    let told = answer.header("access-control-allow-origin");
    assert_eq!(told, Some(anybody.1));
}

#[test]
fn every_response_has_security_headers() {
    let guarded = Guarded::start(json!({}));
    let server = &guarded.server;
    for (method, path, status) in [
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/mcp/server-card", 200),
        ("GET", "/mcp", 405),
        ("GET", "/nothing", 404),
        ("POST", "/mcp", 400),
    ] {
        let head = head(server, method, path, "Content-Length: 0\r\n");
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        for field in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "referrer-policy: no-referrer",
        ] {
            assert_eq!(head.matches(field).count(), 1, "{field} in {head}");
        }
        for field in ["server:", "strict-transport-security:", "x-powered-by:"] {
            assert!(!head.contains(field), "{head}");
        }
    }
}
