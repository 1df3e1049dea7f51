//! The edge build in third-party servers, compared with our own.

mod requests;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use user_auth_tests::{Options, Server, built, command, folder};

use self::requests::{message, request_of, table, tool};
use super::{Running, example, number_after, succeed};

const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const PAGE: &str = "https://app.example.com";
const PAGES: &str = "https://app.example.com,https://*.pages.example.com,tauri://localhost";

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
