//! Errors for bad input: they say what is wrong, and other requests are not affected.

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server};

use crate::http::assert_error_object;

#[test]
fn malformed_messages_get_distinct_errors() {
    let server = Server::start();
    let nested = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status, code) in [
        (&b"{"[..], 400, -32700),
        (b"", 400, -32700),
        (b"\"\xff\"", 400, -32700),
        (nested.as_bytes(), 400, -32700),
        (b"7", 400, -32600),
        (b"[]", 400, -32600),
        // No value in it is examined.
        (&[b'['; 100_000], 400, -32600),
        (
            br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            400,
            -32600,
        ),
        (br#"{"id":1,"method":"ping"}"#, 400, -32600),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":5}"#,
            400,
            -32602,
        ),
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#,
            200,
            -32601,
        ),
    ] {
        let answer = server.post(&[], body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.json()["error"]["code"], code, "{shown}");
    }
    assert_eq!(server.rpc("ping", json!({}))["result"], json!({}));
}

#[test]
fn unknown_tools_resources_and_prompts_are_refused_with_the_known_ones() {
    let server = Server::start();
    let answer = server.rpc("tools/call", json!({"name": "login"}));
    assert_eq!(answer["error"]["code"], -32602);
    let known = answer["error"]["data"]["known_tools"].as_array().unwrap();
    assert!(known.contains(&json!("user-auth_login")));
    let answer = server.rpc("resources/read", json!({"uri": "file:///etc/passwd"}));
    assert_eq!(answer["error"]["code"], -32002);
    assert_eq!(answer["error"]["data"]["uri"], "file:///etc/passwd");
    let answer = server.rpc("prompts/get", json!({"name": "no_such"}));
    assert_eq!(answer["error"]["code"], -32602);
    let answer = server.rpc("prompts/get", json!({"name": "sign_up_user"}));
    assert_eq!(
        answer["error"]["message"],
        "$.params.arguments.username: is missing"
    );
}

#[test]
fn wrong_arguments_are_named_by_json_path() {
    let server = Server::start();
    let error = server
        .call(
            "register",
            json!({"username": 5, "password": ["x"], "role": "admin"}),
        )
        .unwrap_err();
    assert_error_object(&error, -32000, "register");
    let fields = error["data"]["details"]["fields"].as_array().unwrap();
    let paths: Vec<&str> = fields
        .iter()
        .map(|field| field["path"].as_str().unwrap())
        .collect();
    for path in ["$.username", "$.password", "$.role"] {
        assert!(paths.contains(&path), "{path} in {paths:?}");
    }
    let error = server.call("register", json!({"username": "bob", "password": "short"}));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("at least 15 characters")
    );
}

#[test]
fn validation_of_the_primary_operation_says_what_is_missing() {
    let server = Server::start();
    for data in [
        json!({}),
        json!({"username": "alice"}),
        json!({"operation": "fly"}),
    ] {
        let error = server
            .call("execute_primary_operation", json!({"data": data}))
            .unwrap_err();
        assert_error_object(&error, -32000, "execute_primary_operation");
        assert_eq!(error["message"], "Business validation failed");
        assert!(
            !error["data"]["details"]["fields"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        let operations = error["data"]["details"]["operations"].as_array().unwrap();
        assert!(operations.contains(&json!("register")));
    }
}

#[test]
fn http_mistakes_get_http_statuses() {
    let server = Server::start();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let large = format!("{ping}{}", " ".repeat(1024 * 1024));
    assert_eq!(server.post(&[], large).status, 413);
    assert_eq!(
        server.post(&[("content-type", "text/plain")], ping).status,
        415
    );
    let get = server.get("/mcp", &[]);
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(server.get("/no/such", &[]).status, 404);
    for header in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example"),
    ] {
        let answer = server.post(&[header], ping);
        assert_eq!(answer.status, 403, "{header:?}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    let own = server.url.clone();
    assert_eq!(server.post(&[("origin", &own)], ping).status, 200);
}

#[test]
fn a_flood_of_logins_is_refused_with_a_retry_time_and_ends() {
    let options = Options::new().for_a_crowd();
    let server = options.arg("--set=limits.hash_workers=2").start();
    server.new_session("alice");
    let answers: Vec<Result<Value, Value>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..160)
            .map(|number| {
                let server = &server;
                scope.spawn(move || {
                    let username = format!("user{number}");
                    server.call(
                        "register",
                        json!({"username": username, "password": PASSWORD}),
                    )
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused: Vec<&Value> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(
        !refused.is_empty(),
        "160 at once are more than the queue takes"
    );
    for error in refused {
        assert_error_object(error, -32004, "register");
        assert!(error["data"]["details"]["retry_after_seconds"].as_u64() >= Some(1));
    }
    let metrics = server.resource("mcp://user-auth/metrics");
    assert!(metrics["password_hash"]["refused"].as_u64() > Some(0));
    let login = json!({"username": "alice", "password": PASSWORD});
    server.call("login", login).unwrap();
}
