//! The edge build in third-party servers, compared with our own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use ureq::Agent;
use user_auth_tests::{Options, Server, built, command, folder};

use super::{Running, example, number_after, succeed};

const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const PAGE: &str = "https://app.example.com";
const PAGES: &str = "https://app.example.com,https://*.pages.example.com,tauri://localhost";

/// A request of the table.
struct Asked {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// The answer to a request, without the parts that may differ.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    headers: Vec<String>,
    body: String,
}

fn request_of(what: &'static str, method: &'static str, path: &'static str) -> Asked {
    Asked {
        what,
        method,
        path,
        headers: Vec::new(),
        body: String::new(),
    }
}

fn message(what: &'static str, body: Value) -> Asked {
    let mut request_of = request_of(what, "POST", "/mcp").with("content-type", "application/json");
    request_of.body = body.to_string();
    request_of
}

fn tool(what: &'static str, name: &str, arguments: Value) -> Asked {
    let name = format!("user-auth_{name}");
    let params = json!({"name": name, "arguments": arguments});
    message(
        what,
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}),
    )
}

fn api(what: &'static str, path: &'static str, input: Value) -> Asked {
    Asked {
        body: input.to_string(),
        ..request_of(what, "POST", path).with("content-type", "application/json")
    }
}

fn form(what: &'static str, path: &'static str, form: &str) -> Asked {
    Asked {
        body: form.to_owned(),
        ..request_of(what, "POST", path).with("content-type", "application/x-www-form-urlencoded")
    }
}

impl Asked {
    fn with(mut self, name: &'static str, value: &str) -> Asked {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn bearer(self, token: &str) -> Asked {
        self.with("authorization", &format!("Bearer {token}"))
    }

    fn of(&self, server: &str) -> Answered {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut request = ureq::http::Request::builder()
            .method(self.method)
            .uri(format!("{server}{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut response = match self.method {
            "POST" => agent.run(request.body(self.body.clone()).unwrap()),
            _ => agent.run(request.body(()).unwrap()),
        }
        .unwrap_or_else(|error| panic!("{server}: {}: {error}", self.what));
        // Header fields of the connection differ between servers.
        let of_connection = [
            "connection",
            "content-length",
            "date",
            "keep-alive",
            "transfer-encoding",
        ];
        let mut headers: Vec<String> = response
            .headers()
            .iter()
            .filter(|(name, _)| !of_connection.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        Answered {
            status: response.status().as_u16(),
            headers,
            body: without_time(&response.body_mut().read_to_string().unwrap()),
        }
    }
}

/// Removes the time.
fn without_time(body: &str) -> String {
    let mut text = body.to_owned();
    for field in ["timestamp\\\":\\\"", "timestamp\":\"", "uptime_seconds\":"] {
        let mut from = 0;
        while let Some(at) = text[from..].find(field) {
            let begin = from + at + field.len();
            let is_time = |c: char| c.is_ascii_digit() || "-:.TZ".contains(c);
            let length = text[begin..].find(|c| !is_time(c)).unwrap();
            text.replace_range(begin..begin + length, "…");
            from = begin;
        }
    }
    text
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn edge() -> PathBuf {
    built("user-auth-edge.wasm")
}

/// Starts `wasmtime serve` and returns its address.
fn wasmtime(component: &str, options: &[&str]) -> (Running, String) {
    let mut serve = Command::new(built("wasmtime"));
    serve.args(["serve", "--addr", "127.0.0.1:0"]).args(options);
    serve.args(["--env", &format!("USER_AUTH_MASTER_KEY={MASTER_KEY}")]);
    if !options
        .iter()
        .any(|option| option.contains("ALLOWED_ORIGINS"))
    {
        serve.args(["--env", &format!("USER_AUTH_ALLOWED_ORIGINS={PAGES}")]);
    }
    serve.args(["--env", "USER_AUTH_MCP_TOOLSETS=all"]);
    serve.arg(built(component));
    let (running, line) = Running::start(&mut serve, "Serving HTTP on");
    let port = number_after(&line, "127.0.0.1:");
    (running, format!("http://127.0.0.1:{port}"))
}

/// Starts `jco serve` and returns its address.
fn jco() -> (Running, String) {
    let program = example("javascript", "node_modules/.installed").join("node_modules/.bin/jco");
    let address = free_address();
    let (host, port) = address.split_once(':').unwrap();
    let scratch = folder();
    let mut serve = Command::new("node");
    serve.arg(program).arg("serve").arg(edge());
    serve.args(["--host", host, "--port", port]);
    serve.env("USER_AUTH_MASTER_KEY", MASTER_KEY);
    serve.env("USER_AUTH_ALLOWED_ORIGINS", PAGES);
    serve.env("USER_AUTH_MCP_TOOLSETS", "all");
    serve.current_dir(scratch.path());
    let (running, _) = Running::start(&mut serve, "listening");
    (running, format!("http://{address}"))
}

/// Returns the table of requests; `token` is a valid token of a user who may read invoices.
fn table(token: &str) -> Vec<Asked> {
    let verify = |what, path| request_of(what, "GET", path).bearer(token);
    let rpc = |method: &str| json!({"jsonrpc": "2.0", "id": 7, "method": method});
    vec![
        request_of("health", "GET", "/health"),
        request_of("health by another method", "POST", "/health"),
        request_of("nowhere", "GET", "/nowhere"),
        request_of("another method", "GET", "/mcp"),
        verify("verify", "/verify"),
        verify(
            "verify, permitted",
            "/verify?permission=billing:invoices:read",
        ),
        verify(
            "verify, encoded",
            "/verify?permission=billing%3Ainvoices%3Aread",
        ),
        verify("verify, not permitted", "/verify?permission=billing:write"),
        verify("verify, no permission at all", "/verify?permission=A%20B"),
        verify(
            "verify, an encoded name",
            "/verify?%70ermission=billing:write",
        ),
        verify("verify, no value", "/verify?permission"),
        verify("verify, an empty value", "/verify?permission="),
        verify("verify, an empty query", "/verify?"),
        verify("verify, an empty parameter", "/verify?&"),
        verify("verify, no name", "/verify?=billing:invoices:read"),
        verify(
            "verify, a misspelt name",
            "/verify?permision=billing:invoices:read",
        ),
        verify(
            "verify, a name in upper case",
            "/verify?Permission=billing:invoices:read",
        ),
        verify("verify, an audience", "/verify?audience=notes"),
        verify(
            "verify, a permission and an audience",
            "/verify?permission=billing:invoices:read&audience=notes",
        ),
        verify(
            "verify, two permissions",
            "/verify?permission=billing:invoices:read&permission=billing:write",
        ),
        verify(
            "verify, two permissions, one encoded",
            "/verify?permission=billing:invoices:read&%70ermission=billing:write",
        ),
        verify(
            "verify, an encoded mistake",
            "/verify?%50ermission=billing:invoices:read",
        ),
        verify("verify, encoded twice", "/verify?%2570ermission=a"),
        verify("verify, encoded wrongly", "/verify?permission=%f&x%zz=%"),
        verify("verify, no text", "/verify?permission=%ff"),
        verify("verify, no text in a name", "/verify?%ff=a"),
        verify("verify, a plus", "/verify?permission=a+b&c+d=e"),
        verify(
            "verify, another separator",
            "/verify?permission=a;permission=b",
        ),
        verify("verify, a path below", "/verify/"),
        request_of("verify with two keys", "GET", "/verify")
            .with("x-api-key", "a")
            .with("x-api-key", "b"),
        request_of("verify with one method twice", "GET", "/verify")
            .bearer(token)
            .with("mcp-method", "a")
            .with("mcp-method", "b"),
        request_of("verify a key as a token", "GET", "/verify").bearer("uak_made-up"),
        request_of("verify a key in both places", "GET", "/verify")
            .bearer("uak_made-up")
            .with("x-api-key", "uak_made-up"),
        request_of("verify two keys in two places", "GET", "/verify")
            .bearer("uak_made-up")
            .with("x-api-key", "uak_another"),
        request_of("verify a token and a key", "GET", "/verify")
            .bearer(token)
            .with("x-api-key", "uak_made-up"),
        request_of("verify another scheme", "GET", "/verify")
            .with("authorization", "Basic uak_made-up"),
        request_of("verify, anonymous", "GET", "/verify"),
        request_of("verify by POST", "POST", "/verify").bearer(token),
        request_of("verify a bad token", "GET", "/verify").bearer("a.b.c"),
        request_of("verify a changed token", "GET", "/verify").bearer(&format!("{token}A")),
        request_of("verify with two tokens", "GET", "/verify")
            .bearer(token)
            .bearer(token),
        message("ping", rpc("ping")),
        message("the tools", rpc("tools/list")),
        Asked {
            path: "/mcp?toolsets=auth%2Ctokens",
            ..message("the tools of two toolsets", rpc("tools/list"))
        },
        message("the tools of a toolset", rpc("tools/list")).with("x-mcp-toolsets", "account"),
        message("an unknown toolset", rpc("tools/list")).with("x-mcp-toolsets", "accounts"),
        Asked {
            path: "/mcp/readonly",
            ..message("the tools that only read", rpc("tools/list"))
        },
        Asked {
            path: "/mcp/readonly",
            ..tool("a change where one may only read", "logout", json!({}))
        },
        Asked {
            path: "/mcp/",
            ..message("ping with a slash", rpc("ping"))
        },
        Asked {
            path: "/mcp//",
            ..message("ping with two slashes", rpc("ping"))
        },
        Asked {
            path: "/mcp?permission=a&permission=b",
            ..message("ping with a query", rpc("ping"))
        },
        message("ping in gzip", rpc("ping")).with("content-encoding", "gzip"),
        message("ping in no coding", rpc("ping")).with("content-encoding", "identity"),
        message("two content types", rpc("ping")).with("content-type", "text/plain"),
        message("two versions", rpc("ping"))
            .with("mcp-protocol-version", "2025-11-25")
            .with("mcp-protocol-version", "2099-01-01"),
        message("an unknown version", rpc("ping")).with("mcp-protocol-version", "2099-01-01"),
        message(
            "an empty cursor",
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": ""}}),
        ),
        message(
            "another cursor",
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}),
        ),
        tool("a key as a token", "list_roles", json!({})).bearer("uak_made-up"),
        tool("two keys in two places", "list_roles", json!({}))
            .bearer("uak_made-up")
            .with("x-api-key", "uak_another"),
        message("the prompts", rpc("prompts/list")),
        message("the resources", rpc("resources/list")),
        message("an unknown method", rpc("nothing/there")),
        message(
            "a notification",
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        ),
        message("no message", json!([])),
        message(
            "a handshake",
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            }}),
        ),
        tool("a token", "verify_token", json!({"token": token})),
        tool("a bad token", "verify_token", json!({"token": "a.b.c"})),
        tool("no token", "verify_token", json!({})),
        tool(
            "an unknown field",
            "verify_token",
            json!({"token": 7, "tokn": "x"}),
        ),
        tool(
            "a good permission",
            "check_permission",
            json!({"token": token, "permission": "billing:invoices:read"}),
        ),
        tool(
            "a bad permission",
            "check_permission",
            json!({"token": token, "permission": "billing:write"}),
        ),
        tool(
            "the caller's own permission",
            "check_permission",
            json!({"permission": "billing:invoices:read"}),
        )
        .bearer(token),
        tool("no password", "register", json!({"username": "bob"})),
        tool("an unknown tool", "no_such_thing", json!({})),
        tool("capabilities", "get_capabilities", json!({})),
        Asked {
            body: "{".to_owned(),
            ..message("no JSON", json!(0))
        },
        request_of(
            "the server card by another method",
            "POST",
            "/mcp/server-card",
        ),
        api("an operation", "/api/verify_token", json!({"token": token})),
        api(
            "an operation on a bad token",
            "/api/verify_token",
            json!({"token": "a.b.c"}),
        ),
        api(
            "an operation without its input",
            "/api/verify_token",
            json!({}),
        ),
        api(
            "an operation with a query",
            "/api/verify_token?audience=a",
            json!({"token": token}),
        ),
        api("an operation on no object", "/api/verify_token", json!([])),
        api(
            "an operation by its caller",
            "/api/check_permission",
            json!({"permission": "billing:invoices:read"}),
        )
        .bearer(token),
        api(
            "an operation without its caller",
            "/api/list_roles",
            json!({}),
        ),
        api("an operation in gzip", "/api/verify_token", json!({}))
            .with("content-encoding", "gzip"),
        api(
            "an operation from a page that may",
            "/api/verify_token",
            json!({}),
        )
        .with("origin", PAGE),
        Asked {
            body: "{".to_owned(),
            ..api("an operation on no JSON", "/api/verify_token", json!({}))
        },
        Asked {
            body: r#"{"token": "a", "token": "b"}"#.to_owned(),
            ..api("an operation on two tokens", "/api/verify_token", json!({}))
        },
        Asked {
            body: String::new(),
            ..api(
                "an operation without a body",
                "/api/get_capabilities",
                json!({}),
            )
        },
        request_of("an operation by another method", "GET", "/api/verify_token"),
        form("introspection, anonymous", "/introspect", "token=a"),
        form("introspection without a token", "/introspect", ""),
        form(
            "introspection of two tokens",
            "/introspect",
            "token=a&token=b",
        ),
        form(
            "introspection with an unknown parameter",
            "/introspect",
            "token=a&resource=b",
        ),
        form("introspection of no text", "/introspect", "token=%ff"),
        form(
            "introspection by Basic without base64",
            "/introspect",
            "token=a",
        )
        .with("authorization", "Basic !"),
        form("introspection by another scheme", "/introspect", "token=a")
            .with("authorization", "Digest a"),
        form("introspection by two keys", "/introspect", "token=a")
            .with("authorization", "Basic YTp1YWtfYQ==")
            .with("x-api-key", "uak_b"),
        form("introspection by an unknown key", "/introspect", "token=a")
            .with("authorization", "Basic YTp1YWtfYQ=="),
        form(
            "introspection from a page that may",
            "/introspect",
            "token=a",
        )
        .with("origin", PAGE),
        api(
            "introspection in JSON",
            "/introspect",
            json!({"token": "a"}),
        ),
        request_of(
            "introspection by another method",
            "GET",
            "/introspect?token=a",
        ),
        form(
            "introspection with a query",
            "/introspect?audience=a",
            "token=a",
        ),
        form("revocation of nothing known", "/revoke", "token=a.b.c"),
        form("revocation of an audience", "/revoke", "token=a&audience=b"),
        form("revocation in gzip", "/revoke", "token=a").with("content-encoding", "gzip"),
        request_of("revocation by another method", "DELETE", "/revoke"),
        request_of("the description", "GET", "/openapi.json"),
        request_of("the description for a page", "GET", "/openapi.json")
            .with("origin", "https://docs.example.com"),
        request_of("the description before a page", "OPTIONS", "/openapi.json")
            .with("origin", "https://docs.example.com")
            .with("access-control-request-method", "GET"),
        request_of("the description by another method", "POST", "/openapi.json"),
        request_of("the keys before a page", "OPTIONS", "/jwks")
            .with("origin", "https://docs.example.com")
            .with("access-control-request-method", "GET"),
        request_of("the keys by another method", "POST", "/jwks"),
        request_of("an unknown operation", "POST", "/api/no_such_thing"),
        request_of("no operation", "POST", "/api/"),
        message("a page that may", rpc("ping")).with("origin", PAGE),
        message("a page that may, with its port", rpc("ping"))
            .with("origin", "https://app.example.com:443"),
        message("a page that may, in other letters", rpc("ping"))
            .with("origin", "HTTPS://App.Example.Com"),
        message("a page one label below", rpc("ping"))
            .with("origin", "https://a.pages.example.com"),
        message("a program", rpc("ping")).with("origin", "tauri://localhost"),
        message("a program that asks", rpc("ping"))
            .with("origin", "tauri://localhost")
            .with("access-control-request-method", "POST"),
        request_of("a browser asks", "OPTIONS", "/mcp")
            .with("origin", PAGE)
            .with("access-control-request-method", "POST")
            .with(
                "access-control-request-headers",
                "content-type,traceparent,tracestate,baggage",
            ),
        Asked {
            headers: vec![("content-type", "text/plain".to_owned())],
            ..message("another content type", rpc("ping"))
        },
        Asked {
            body: " ".repeat((1 << 20) + 1),
            ..message("too much", json!(0))
        },
    ]
}

/// Starts our own server and logs in a user who may read invoices.
fn own() -> (Server, String, tempfile::TempDir) {
    let home = folder();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .arg("--allowed-origin")
        .arg(PAGES)
        .start();
    server.new_session("alice");
    let operate = |arguments: &[&str]| {
        let mut call = command(home.path());
        call.env("USER_AUTH_MASTER_KEY", MASTER_KEY);
        succeed(call.arg("call").args(arguments));
    };
    operate(&[
        "define_role",
        "role=clerk",
        "permissions:=[\"billing:invoices:*\"]",
    ]);
    operate(&["assign_role", "username=alice", "role=clerk"]);
    let credentials = json!({"username": "alice", "password": user_auth_tests::PASSWORD});
    let tokens = server.call("login", credentials).unwrap();
    let token = tokens["access_token"].as_str().unwrap().to_owned();
    (server, token, home)
}

#[test]
fn every_host_responds_like_our_own() {
    let (server, token, _home) = own();
    let (_wasmtime, wasmtime) = wasmtime("user-auth-edge.wasm", &["-S", "cli"]);
    let (_jco, jco) = jco();
    for request_of in table(&token) {
        let expected = request_of.of(&server.url);
        assert_eq!(
            request_of.of(&wasmtime),
            expected,
            "wasmtime: {}",
            request_of.what
        );
        assert_eq!(request_of.of(&jco), expected, "jco: {}", request_of.what);
    }
    let verified = request_of("verify", "GET", "/verify")
        .bearer(&token)
        .of(&jco);
    let scopes = "x-auth-scopes: self billing:invoices:*".to_owned();
    assert!(verified.headers.contains(&scopes), "{verified:?}");
}

#[test]
fn operations_that_need_state_are_refused_without_a_store() {
    let (_running, url) = wasmtime("user-auth-edge.wasm", &["-S", "cli"]);
    for (name, arguments) in [
        (
            "register",
            json!({"username": "bob", "password": user_auth_tests::PASSWORD}),
        ),
        (
            "login",
            json!({"username": "bob", "password": user_auth_tests::PASSWORD}),
        ),
        ("list_roles", json!({"access_token": "a.b.c"})),
        ("refresh_token", json!({"refresh_token": "uar_x"})),
    ] {
        let answer = tool("", name, arguments).of(&url);
        let error = &serde_json::from_str::<Value>(&answer.body).unwrap()["error"];
        let code = error["code"].as_i64();
        // Invalid input is reported before the missing store.
        assert!(
            matches!(code, Some(-32004 | -32001 | -32000)),
            "{name}: {error}"
        );
        if matches!(name, "register" | "login") {
            assert_eq!(code, Some(-32004), "{name}: {error}");
            let advice = error["data"]["details"]["action"].as_str().unwrap();
            assert!(advice.contains("call the service"), "{error}");
        }
    }
}

#[test]
fn operations_missing_from_a_build_are_not_reported_as_faults() {
    let health = |component: &str, options: &[&str]| -> Value {
        let (_running, url) = wasmtime(component, options);
        let params = json!({"uri": "mcp://user-auth/health"});
        let read = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params});
        let answer: Value = serde_json::from_str(&message("", read).of(&url).body).unwrap();
        let text = answer["result"]["contents"][0]["text"].as_str().unwrap();
        serde_json::from_str(text).unwrap()
    };
    let edge = health("user-auth-edge.wasm", &["-S", "cli"]);
    let said = ["status", "store", "keys", "password_hash"].map(|name| edge[name].clone());
    assert_eq!(said, ["ok", "none", "ok", "none"], "{edge}");
    let bucket = ["-S", "cli,keyvalue", "--env", "USER_AUTH_KEYVALUE_BUCKET="];
    let keyvalue = health("user-auth-edge-keyvalue.wasm", &bucket);
    let said = ["status", "store", "keys", "password_hash"].map(|name| keyvalue[name].clone());
    assert_eq!(said, ["ok", "ok", "ok", "ok"], "{keyvalue}");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let (_running, url) = wasmtime("user-auth-edge.wasm", &["-S", "cli"]);
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.example",
        "https://app.example.com:evil",
        "https://app.example.com:443.evil.example",
        "https://app.example.com:99999",
        "https://app.example.com.",
        "https://user@app.example.com",
        "https://a.b.pages.example.com",
        "https://pages.example.com",
        "tauri://evil",
        "https://app.example.com, https://app.example.com",
    ] {
        let answer = tool("", "get_capabilities", json!({}))
            .with("origin", origin)
            .of(&url);
        assert_eq!(answer.status, 403, "{origin}");
        assert!(
            answer.body.contains("USER_AUTH_ALLOWED_ORIGINS"),
            "{}",
            answer.body
        );
    }
    let twice = message("", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    let twice = twice.with("origin", PAGE).with("origin", PAGE);
    assert_eq!(twice.of(&url).status, 403);
}

#[test]
fn an_invalid_origin_is_logged_and_refuses_all_requests() {
    for origins in ["https://*", "https://app.example.com/", "app.example.com"] {
        let setting = format!("USER_AUTH_ALLOWED_ORIGINS={origins}");
        let options = ["-S", "cli", "--env", &setting];
        let (_running, url) = wasmtime("user-auth-edge.wasm", &options);
        let ping = message("", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        let answer = ping.of(&url);
        assert_eq!(answer.status, 503, "{origins}: {}", answer.body);
        assert!(answer.body.contains("-32004"), "{origins}: {}", answer.body);
    }
}

#[test]
fn all_pages_may_call_without_a_store_or_where_a_key_is_required() {
    let all = ["--env", "USER_AUTH_ALLOWED_ORIGINS=*"];
    let bucket = ["-S", "cli,keyvalue", "--env", "USER_AUTH_KEYVALUE_BUCKET="];
    let keys = ["--env", "USER_AUTH_REQUIRE_API_KEY=true"];
    let keyvalue = "user-auth-edge-keyvalue.wasm";
    for (component, options, expected) in [
        (
            "user-auth-edge.wasm",
            [&["-S", "cli"], &all[..]].concat(),
            200,
        ),
        (keyvalue, [&bucket[..], &all].concat(), 503),
        (keyvalue, [&bucket[..], &all, &keys].concat(), 401),
    ] {
        let (_running, url) = wasmtime(component, &options);
        let ping = message("", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        let answer = ping.with("origin", PAGE).of(&url);
        assert_eq!(answer.status, expected, "{options:?}: {}", answer.body);
    }
}

/// The options for a bucket that lasts. One instance serves all requests, because wasmtime's
/// bucket lives only as long as the instance.
const BUCKET: [&str; 8] = [
    "-S",
    "cli,keyvalue",
    "--max-instance-reuse-count",
    "1000",
    "--idle-instance-timeout",
    "60s",
    "--env",
    "USER_AUTH_KEYVALUE_BUCKET=",
];

#[test]
fn a_bucket_is_written_only_with_a_single_writer() {
    let credentials = json!({"username": "bob", "password": user_auth_tests::PASSWORD});
    let (_running, url) = wasmtime("user-auth-edge-keyvalue.wasm", &BUCKET);
    let refused = tool("", "register", credentials.clone()).of(&url);
    assert!(refused.body.contains("-32004"), "{}", refused.body);

    let writing = [&BUCKET[..], &["--env", "USER_AUTH_SINGLE_WRITER=true"]].concat();
    let (_running, url) = wasmtime("user-auth-edge-keyvalue.wasm", &writing);
    let call = |name: &str, arguments: Value| {
        let answer = tool("", name, arguments).of(&url);
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let registered = call("register", credentials.clone());
    assert_eq!(
        registered["result"]["structuredContent"]["username"], "bob",
        "{registered}"
    );
    let again = call("register", credentials.clone());
    assert_eq!(again["error"]["code"], -32000, "{again}");
    let tokens = &call("login", credentials)["result"]["structuredContent"];
    let token = json!({"token": tokens["access_token"]});
    let active = |token: &Value| {
        call("verify_token", token.clone())["result"]["structuredContent"]["active"].clone()
    };
    assert_eq!(active(&token), true);
    call("logout", json!({"access_token": tokens["access_token"]}));
    assert_eq!(active(&token), false);
}

#[test]
fn a_build_with_a_store_publishes_the_keys_of_its_tokens_as_our_own_server_does() {
    let service = "https://files.example.com";
    let audiences = format!("USER_AUTH_OTHER_AUDIENCES={service}");
    let more = ["--env", "USER_AUTH_SINGLE_WRITER=true", "--env", &audiences];
    let (_running, url) = wasmtime(
        "user-auth-edge-keyvalue.wasm",
        &[&BUCKET[..], &more].concat(),
    );
    let (server, _, _home) = own();
    let ask = |method: &'static str, page: bool, url: &str| {
        let asked = request_of("the keys", method, "/jwks");
        match page {
            true => asked.with("origin", "https://anywhere.example").of(url),
            false => asked.of(url),
        }
    };
    for (method, page) in [
        ("GET", false),
        ("GET", true),
        ("HEAD", false),
        ("POST", false),
        ("OPTIONS", true),
    ] {
        let (theirs, ours) = (ask(method, page, &url), ask(method, page, &server.url));
        assert_eq!(theirs.status, ours.status, "{method}");
        assert_eq!(theirs.headers, ours.headers, "{method}");
    }
    let keys = ask("GET", false, &url).body;
    let [jwk] = &serde_json::from_str::<JwkSet>(&keys).unwrap().keys[..] else {
        panic!("not one key: {keys}");
    };
    let shape = |text: &str| {
        let set: Value = serde_json::from_str(text).unwrap();
        let key = set["keys"][0].as_object().unwrap().clone();
        let fixed = ["alg", "crv", "kty", "use"].map(|name| key[name].clone());
        (fixed, key.keys().cloned().collect::<Vec<_>>())
    };
    assert_eq!(shape(&keys), shape(&ask("GET", false, &server.url).body));

    let call = |name: &str, arguments: Value| -> Value {
        let answer = tool("", name, arguments).of(&url);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["result"]["structuredContent"].clone()
    };
    let credentials = json!({"username": "bob", "password": user_auth_tests::PASSWORD});
    call("register", credentials.clone());
    let session = call("login", credentials);
    let input = json!({"access_token": session["access_token"], "audience": service});
    let token = call("issue_token", input)["access_token"].clone();
    let token = token.as_str().unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[service]);
    let key = DecodingKey::from_jwk(jwk).unwrap();
    let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
    assert_eq!(claims["sid"], session["session_id"]);
    let header = decode_header(token).unwrap();
    assert_eq!(header.kid, jwk.common.key_id);
}
