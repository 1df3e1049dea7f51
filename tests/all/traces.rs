//! Traces, and the log lines about each request.

use std::net::TcpListener;

use serde_json::{Value, json};
use user_auth_tests::{Collector, Options, PASSWORD, Server, Span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traced(server: &Server, operation: &str, arguments: Value) -> Value {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let answer = server.post(&[("traceparent", &parent)], body.to_string());
    answer.json()["result"]["structuredContent"].clone()
}

#[test]
fn spans_cover_request_to_store_and_contain_no_secret() {
    let collector = Collector::start();
    let server = Options::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .start();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    server.call("register", credentials.clone()).unwrap();
    let tokens = traced(&server, "login", credentials.clone());
    let wrapped = json!({"data": credentials});
    server.call("execute_primary_operation", wrapped).unwrap();
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");

    let spans = collector.spans();
    let ours: Vec<&Span> = spans.iter().filter(|span| span.trace_id == TRACE).collect();
    let request = ours.iter().find(|span| span.parent_id == PARENT);
    let request = request.expect("the server continues the client's trace");
    assert_eq!((request.name.as_str(), request.kind), ("POST /mcp", 2));
    assert_eq!(
        request.attribute("http.response.status_code"),
        Some("Some(IntValue(200))")
    );
    assert_eq!(request.resource("service.name"), Some("user-auth"));
    let version = request.resource("service.version");
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    let login = ours.iter().find(|span| span.name == "login");
    let login = login.expect("a span of the operation");
    assert_eq!(login.parent_id, request.span_id);
    let below = |parent: &Span| {
        let below = spans.iter().filter(|span| span.parent_id == parent.span_id);
        below.map(|span| span.name.clone()).collect::<Vec<_>>()
    };
    for call in ["store.get", "store.commit"] {
        assert!(below(login).contains(&call.to_owned()), "{call}");
    }

    let outer = spans
        .iter()
        .find(|span| span.name == "execute_primary_operation");
    let outer = outer.expect("a span of the outer operation");
    assert_eq!(below(outer), ["login"], "what it runs is within");
    let roots = spans.iter().filter(|span| span.parent_id.is_empty());
    assert!(roots.clone().all(|span| span.trace_id != TRACE));
    assert!(roots.count() >= 2, "others have traces of their own");

    let all = format!("{spans:?}");
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    for secret in [
        PASSWORD.to_owned(),
        text("access_token"),
        text("refresh_token"),
    ] {
        assert!(!all.contains(&secret), "{secret}");
    }
}

#[test]
fn an_unreachable_collector_does_no_harm() {
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", reserved.local_addr().unwrap());
    drop(reserved);
    let server = Options::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .start();
    server.new_session("alice");
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    assert_eq!(log.matches("spans cannot be sent").count(), 1, "{log}");
}

#[test]
fn an_unresponsive_collector_delays_neither_requests_nor_shutdown() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = Options::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .start();
    server.new_session("alice");
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    assert!(log.contains("spans may be lost"), "{log}");
}

#[test]
fn the_log_has_each_request_with_its_trace_id() {
    let server = Options::new().env("LOG_LEVEL", "DEBUG").start();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    server.call("register", credentials.clone()).unwrap();
    traced(&server, "login", credentials);
    server.get("/secret-in-a-path?token=in-a-query", &[]);
    let (_, log) = server.stop();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of_trace: Vec<&Value> = lines
        .iter()
        .filter(|line| line["span"]["trace_id"] == TRACE)
        .collect();
    let find = |message: &str| {
        let found = of_trace.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("'{message}' is not in {log}"))
    };
    assert_eq!(find("message")["mcp_method"], "tools/call");
    assert_eq!(find("operation ended")["operation"], "login");
    assert_eq!(find("operation ended")["outcome"], "success");
    let answered = find("answered");
    assert_eq!(
        (&answered["method"], &answered["route"], &answered["status"]),
        (&json!("POST"), &json!("/mcp"), &json!(200))
    );
    assert!(answered["duration_us"].is_u64());
    assert!(lines.iter().any(|line| line["status"] == 404));
    for secret in [PASSWORD, "secret-in-a-path", "in-a-query"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
