//! Callers that must present an API key.

use std::sync::Arc;

use serde_json::{Value, json};
use user_auth_host::api::{Caller, Principal};
use user_auth_tests::PASSWORD;

use super::{Guarded, PING, fetch, keys_only, plugin, secret, serve};
use crate::attacks::failures::Fragile;
use crate::http::assert_error_object;

fn assert_refused(answer: &user_auth_tests::Answer, header: &str, id: Value) {
    assert_eq!(answer.status, 401, "{}", answer.text);
    let challenge = format!("ApiKey realm=\"user-auth\", header=\"{header}\"");
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
    let body = answer.json();
    assert_eq!(body["id"], id);
    assert_error_object(&body["error"], -32001, "mcp");
    assert_eq!(body["error"]["message"], "A valid API key is required");
}

#[test]
fn requests_without_a_key_are_refused() {
    let guarded = Guarded::start(keys_only());
    let initialize = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}"#;
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    for (body, id) in [
        (PING, json!(7)),
        (initialize, json!("a")),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#,
            json!(3),
        ),
        (notification, Value::Null),
        ("[]", Value::Null),
        ("{", Value::Null),
    ] {
        assert_refused(&guarded.server.post(&[], body), "X-API-Key", id);
    }
    let key = guarded.program("robot", &[]);
    let streamed = [
        ("x-api-key", secret(&key)),
        ("accept", "application/json, text/event-stream"),
    ];
    let answer = guarded.server.post(&streamed, initialize);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["result"]["serverInfo"]["name"], "user-auth");
    assert_eq!(guarded.server.post(&streamed, notification).status, 202);
    for open in ["/health", "/ready", "/mcp/server-card"] {
        assert_eq!(guarded.server.get(open, &[]).status, 200, "{open}");
    }
}

#[test]
fn an_invalid_key_is_refused_like_a_missing_one() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("robot", &[]);
    let key = secret(&key);
    let longer = format!("{key}A");
    let bearer = format!("Bearer {longer}");
    let other_end = format!("{}{}", &key[..key.len() - 2], "__");
    for headers in [
        &[("x-api-key", "uak_")][..],
        &[("x-api-key", "rubbish")],
        &[("x-api-key", "")],
        &[("x-api-key", &longer)],
        &[("x-api-key", &other_end)],
        &[("authorization", &bearer)],
        &[("authorization", "Bearer uak_")],
        &[("x-other-key", key)],
    ] {
        assert_refused(&guarded.ping(headers), "X-API-Key", json!(7));
    }
    for headers in [
        &[("x-api-key", key), ("x-api-key", key)],
        &[("x-api-key", "uak_x"), ("x-api-key", key)],
    ] {
        assert_eq!(guarded.ping(headers).status, 400);
    }
    assert_eq!(guarded.ping(&[("x-api-key", key)]).status, 200);
}

#[test]
fn the_key_is_read_from_the_configured_header_or_as_a_bearer_token() {
    let authentication = json!({"type": "api_key", "header": "X-Team-Key"});
    let guarded = Guarded::start(json!({"authentication": authentication}));
    let key = guarded.program("robot", &[]);
    assert_eq!(guarded.ping(&[("x-team-key", secret(&key))]).status, 200);
    let wrong = guarded.ping(&[("x-api-key", secret(&key))]);
    assert_refused(&wrong, "X-Team-Key", json!(7));
    let both = [("x-api-key", secret(&key)), ("x-team-key", "uak_x")];
    assert_refused(&guarded.ping(&both), "X-Team-Key", json!(7));
    let card = guarded.server.get("/mcp/server-card", &[]).json();
    assert_eq!(card["remotes"][0]["headers"][0]["name"], "X-Team-Key");
}

/// Many clients can send only `Authorization: Bearer`.
#[test]
fn a_key_is_accepted_as_a_bearer_token() {
    let mut security = keys_only();
    security["rate_limiting"] = json!({"requests_per_minute": 1, "burst_size": 8});
    security["authentication"]["header"] = json!("X-Team-Key");
    let guarded = Guarded::start(security);
    let scopes = ["user-auth:metrics:read", "user-auth:users:read"];
    let (key, other) = (
        guarded.program("robot", &scopes),
        guarded.program("other", &[]),
    );
    let (key, other) = (secret(&key), secret(&other));
    let bearer = format!("Bearer {key}");
    let by_bearer = [("authorization", &*bearer)];
    assert_eq!(guarded.ping(&by_bearer).status, 200);
    let called = tool(&guarded, "list_users", &json!({}), &by_bearer).json();
    let users = &called["result"]["structuredContent"]["users"];
    assert!(users.is_array(), "{called}");
    assert_eq!(guarded.server.get("/metrics", &by_bearer).status, 200);
    let verified = guarded
        .server
        .get("/verify?permission=user-auth:users:read", &by_bearer);
    assert_eq!(verified.status, 200, "{}", verified.text);
    let by_header = guarded.server.get("/verify", &[("x-team-key", key)]);
    assert_eq!(
        verified.header("x-auth-subject"),
        by_header.header("x-auth-subject")
    );
    // The scheme is case-insensitive, and the same key may be in both headers.
    let lower = format!("bearer   {key}");
    assert_eq!(guarded.ping(&[("authorization", &lower)]).status, 200);
    let both = [("authorization", &*bearer), ("x-team-key", key)];
    assert_eq!(guarded.ping(&both).status, 200);
    // Two different keys belong to two programs.
    let differ = [("authorization", &*bearer), ("x-team-key", other)];
    for answer in [
        guarded.ping(&differ),
        guarded.server.get("/verify", &differ),
        guarded.server.get("/metrics", &differ),
        tool(&guarded, "list_users", &json!({}), &differ),
    ] {
        assert_eq!(answer.status, 400, "{}", answer.text);
        let message = answer.json()["error"]["message"].clone();
        assert!(message.as_str().unwrap().contains("API keys"), "{message}");
    }
    // A valid key has a rate of its own, and made-up keys do not.
    while guarded.ping(&by_bearer).status == 200 {}
    assert_eq!(guarded.ping(&[("x-team-key", key)]).status, 429);
    let other = format!("Bearer {other}");
    assert_eq!(guarded.ping(&[("authorization", &other)]).status, 200);
    for number in 0..8 {
        let made_up = format!("Bearer uak_{number}");
        guarded.ping(&[("authorization", &made_up)]);
    }
    assert_eq!(
        guarded.ping(&[("authorization", "Bearer uak_x")]).status,
        429
    );
    let metrics = guarded.server.get("/metrics", &[("authorization", &other)]);
    assert_eq!(metrics.status, 403, "{}", metrics.text);
}

/// Where no key is required, a presented key still identifies the caller.
#[test]
fn an_optional_bearer_key_identifies_the_caller() {
    let guarded = Guarded::start(json!({}));
    let key = guarded.program("robot", &["user-auth:users:read"]);
    let bearer = format!("Bearer {}", secret(&key));
    let list = |headers: &[(&str, &str)]| tool(&guarded, "list_users", &json!({}), headers).json();
    let listed = list(&[("authorization", &bearer)]);
    let users = &listed["result"]["structuredContent"]["users"];
    assert!(users.is_array(), "{listed}");
    let refused = list(&[("authorization", &format!("{bearer}A"))]);
    assert_error_object(&refused["error"], -32001, "list_users");
    assert_eq!(refused["error"]["message"], "The API key is not valid");
    // An access token is not accepted as a key, nor a key as an access token.
    let tokens = guarded.server.new_session("alice");
    let token = tokens["access_token"].as_str().unwrap();
    let refused = list(&[("x-api-key", token)]);
    assert_error_object(&refused["error"], -32001, "list_users");
    let session = tool(
        &guarded,
        "list_sessions",
        &json!({}),
        &[("authorization", &bearer)],
    );
    assert_error_object(&session.json()["error"], -32001, "list_sessions");
}

fn tool(
    guarded: &Guarded,
    operation: &str,
    arguments: &Value,
    headers: &[(&str, &str)],
) -> user_auth_tests::Answer {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    guarded.server.post(headers, body.to_string())
}

#[test]
fn a_revoked_key_is_refused_at_once() {
    let mut security = keys_only();
    // Uses rates, which remember valid keys.
    security["rate_limiting"] = json!({"requests_per_minute": 1000, "burst_size": 1000});
    let guarded = Guarded::start(security);
    let key = guarded.program("robot", &[]);
    let header = [("x-api-key", secret(&key))];
    for _ in 0..3 {
        assert_eq!(guarded.ping(&header).status, 200);
    }
    guarded.operate("revoke_api_key", json!({"key_id": key["key_id"]}));
    assert_refused(&guarded.ping(&header), "X-API-Key", json!(7));
    let other = guarded.program("other", &[]);
    let header = [("x-api-key", secret(&other))];
    assert_eq!(guarded.ping(&header).status, 200);
    guarded.operate("disable_user", json!({"username": "other"}));
    assert_refused(&guarded.ping(&header), "X-API-Key", json!(7));
}

#[test]
fn the_key_admits_the_program_and_the_token_names_the_user() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("robot", &[]);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let call = |operation: &str, arguments: &Value, headers: &[(&str, &str)]| {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        guarded.server.post(headers, body.to_string())
    };
    let program = ("x-api-key", secret(&key));
    assert_eq!(call("register", &credentials, &[program]).status, 200);
    let tokens = call("login", &credentials, &[program]).json();
    let tokens = &tokens["result"]["structuredContent"];
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let owner = ("authorization", &*bearer);
    let answer = call("list_sessions", &json!({}), &[program, owner]).json();
    let sessions = &answer["result"]["structuredContent"]["sessions"];
    assert_eq!(sessions[0]["session_id"], tokens["session_id"]);
    let alone = call("list_sessions", &json!({}), &[owner]);
    assert_refused(&alone, "X-API-Key", json!(7));
    // The key alone does not give the program a session, and does not make up for a bad
    // token.
    for headers in [&[program][..], &[program, ("authorization", "Bearer x")]] {
        let answer = call("list_sessions", &json!({}), headers).json();
        assert_error_object(&answer["error"], -32001, "list_sessions");
    }
    let twice = call("list_sessions", &json!({}), &[program, owner, owner]);
    assert_eq!(twice.status, 400);
}

#[test]
fn an_open_server_logs_one_warning() {
    for (security, warnings) in [(json!({}), 1), (keys_only(), 0)] {
        let guarded = Guarded::start(security);
        guarded.ping(&[]);
        let (_, log) = guarded.server.stop();
        assert_eq!(log.matches("the server is open").count(), warnings);
    }
}

#[test]
fn an_invalid_key_header_name_is_refused_at_the_start() {
    for header in ["Authorization", "Host", "X API Key"] {
        let home = user_auth_tests::folder();
        let authentication = json!({"type": "api_key", "header": header});
        let file = super::configure(home.path(), json!({"authentication": authentication}));
        let output = user_auth_tests::command(home.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--config", &file])
            .output()
            .unwrap();
        assert!(!output.status.success());
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(log.contains(&format!("'{header}'")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_callers_are_refused_while_keys_cannot_be_verified() {
    let store = Arc::new(Fragile::default());
    let plugin = plugin(store.clone()).require_api_key(true).build().unwrap();
    let operate = async |operation: &str, input: Value| -> Value {
        let caller = Caller {
            principal: Principal::Operator,
            source: None,
        };
        let output = plugin.invoke(caller, operation, &input.to_string()).await;
        serde_json::from_str(&output.unwrap().unwrap()).unwrap()
    };
    let account = operate("create_service_account", json!({"username": "robot"})).await;
    let key = json!({"name": "k", "user_id": account["user_id"]});
    let key = operate("create_api_key", key).await;
    let url = serve(plugin.clone()).await + "/mcp";
    let ping = async || fetch(&url, Some(secret(&key))).await;
    assert_eq!(ping().await.0, 200);
    store.set_broken(Some("get"));
    let (status, answer) = ping().await;
    assert_eq!((status, &answer["id"]), (503, &json!(7)));
    assert_error_object(&answer["error"], -32004, "mcp");
    store.set_broken(None);
    assert_eq!(ping().await.0, 200);
}
