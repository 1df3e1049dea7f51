//! MCP: the handling of single messages.

mod list;

use serde_json::{Value, json};

use crate::domain::access::toolset::Offer;
use crate::settings::ToolErrors;
use crate::testing::{self, World};

const MODERN: &str = "2026-07-28";

fn modern_body(method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

fn modern(world: &World, method: &str, params: Value) -> (u16, Value) {
    let name = params.get("name").or(params.get("uri")).cloned();
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    if let Some(Value::String(name)) = &name {
        headers.push(("mcp-name", name));
    }
    world.post(&headers, &modern_body(method, params))
}

fn handshake(world: &World, version: &str, method: &str, params: Value) -> (u16, Value) {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    world.post(&[("mcp-protocol-version", version)], &body.to_string())
}

#[test]
fn invalid_messages_return_the_errors_of_json_rpc() {
    let world = World::new();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    // A body with few commas and many values.
    let many = "[[[[{}]]]],".repeat(5_000);
    let ping = r#""jsonrpc":"2.0","id":1,"method":"ping""#;
    let many = format!(r#"{{{ping},"params":{{"a":[{many}[]]}}}}"#);
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        (&deep, -32700),
        (&many, -32600),
        ("1", -32600),
        ("[]", -32600),
        ("[1]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"b":1,"b":1}}}"#,
            -32600,
        ),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#, -32601),
    ] {
        let (_, answer) = world.post(&[], body);
        let error = if answer.is_array() {
            &answer[0]["error"]
        } else {
            &answer["error"]
        };
        let shown: String = body.chars().take(60).collect();
        assert_eq!(error["code"], code, "{shown}");
    }
    let many = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":[{}0]}}}}"#,
        "0,".repeat(20_000)
    );
    assert_eq!(world.post(&[], &many).1["error"]["code"], -32600);
    let commas = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":"\"{}"}}}}"#,
        ",".repeat(30_000)
    );
    assert_eq!(
        world.post(&[], &commas).1["result"],
        json!({}),
        "in a string they are text"
    );
    let invalid_utf8 = crate::mcp::Request {
        transport: crate::mcp::Transport::Http,
        headers: Vec::new(),
        peer: None,
        body: vec![b'"', 0xff, b'"'],
    };
    let response = crate::mcp::handle(
        &invalid_utf8,
        Offer::EVERYTHING,
        &world.settings,
        world.ports(),
    );
    let text = String::from_utf8(response.body.unwrap()).unwrap();
    assert!(text.contains("-32700"));
}

#[test]
fn notifications_and_responses_are_accepted_without_a_response() {
    let world = World::new();
    for body in [
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","method":"no/such"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
    ] {
        assert_eq!(world.post(&[], body), (202, Value::Null), "{body}");
    }
}

#[test]
fn initialize_returns_the_requested_version_or_the_newest_with_a_handshake() {
    let world = World::new();
    for (requested, answered) in [
        (json!({"protocolVersion": "2024-11-05"}), "2024-11-05"),
        (json!({"protocolVersion": "2025-11-25"}), "2025-11-25"),
        (json!({"protocolVersion": MODERN}), "2025-11-25"),
        (json!({"protocolVersion": "1.0"}), "2025-11-25"),
        (json!({}), "2025-11-25"),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": requested});
        let (status, answer) = world.post(&[], &body.to_string());
        assert_eq!(status, 200);
        assert_eq!(answer["result"]["protocolVersion"], answered, "{requested}");
    }
}

#[test]
fn empty_results_of_the_handshake_era_are_empty() {
    let world = World::new();
    for (method, params) in [
        ("ping", json!({})),
        ("logging/setLevel", json!({"level": "debug"})),
    ] {
        let (_, answer) = handshake(&world, "2025-11-25", method, params);
        assert_eq!(answer["result"], json!({}));
    }
}

#[test]
fn batches_are_accepted_only_in_versions_that_have_them() {
    let world = World::new();
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},
        {"jsonrpc":"2.0","method":"notifications/initialized"},
        {"jsonrpc":"2.0","id":"two","method":"ping"}]"#;
    for headers in [&[][..], &[("mcp-protocol-version", "2025-03-26")][..]] {
        let (status, answer) = world.post(headers, batch);
        assert_eq!(status, 200);
        assert_eq!(answer.as_array().unwrap().len(), 2);
        assert_eq!(answer[1]["id"], "two");
    }
    for version in ["2025-06-18", "2025-11-25", MODERN] {
        let (_, answer) = world.post(&[("mcp-protocol-version", version)], batch);
        assert_eq!(answer["error"]["code"], -32600, "{version}");
    }
    let many = json!(vec![
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        65
    ])
    .to_string();
    assert_eq!(world.post(&[], &many).1["error"]["code"], -32600);
}

#[test]
fn every_modern_result_contains_its_type_and_the_server_info() {
    let world = World::new();
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "mcp://user-auth/health"})),
    ] {
        let (status, answer) = modern(&world, method, params);
        let result = &answer["result"];
        assert_eq!(status, 200, "{method}: {answer}");
        assert_eq!(result["resultType"], "complete", "{method}");
        assert!(result["ttlMs"].is_u64(), "{method}");
        assert!(["public", "private"].contains(&result["cacheScope"].as_str().unwrap()));
        assert_eq!(
            result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
            "user-auth"
        );
    }
}

#[test]
fn modern_requests_are_checked_in_the_order_of_the_specification() {
    let world = World::new();
    let headers = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/list"),
    ];
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let (status, answer) = world.post(&headers, bare);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)));

    let body = modern_body("tools/list", json!({}));
    let wrong = [
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "prompts/list"),
    ];
    let (status, answer) = world.post(&wrong, &body);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32020)));
    let (status, answer) = world.post(&[], &body);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32020)));

    let future = body.replace(MODERN, "2099-01-01");
    let headers = [
        ("mcp-protocol-version", "2099-01-01"),
        ("mcp-method", "tools/list"),
    ];
    let (status, answer) = world.post(&headers, &future);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32022)));
    assert_eq!(answer["error"]["data"]["requested"], "2099-01-01");
    assert_eq!(answer["error"]["data"]["supported"][0], MODERN);

    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "no/such",
    ] {
        let (status, answer) = modern(&world, method, json!({}));
        assert_eq!(
            (status, &answer["error"]["code"]),
            (404, &json!(-32601)),
            "{method}"
        );
    }
}

#[test]
fn the_name_header_is_trimmed_decoded_and_compared_case_sensitively() {
    let world = World::new();
    let body = modern_body(
        "tools/call",
        json!({"name": "user-auth_verify_token", "arguments": {"token": "x"}}),
    );
    for (name, status) in [
        ("user-auth_verify_token", 200),
        ("  user-auth_verify_token\t", 200),
        ("=?base64?dXNlci1hdXRoX3ZlcmlmeV90b2tlbg==?=", 200),
        ("=?base64?dXNlci1hdXRoX3ZlcmlmeV90b2tlbg?=", 400),
        ("USER-AUTH_VERIFY_TOKEN", 400),
        ("", 400),
    ] {
        let headers = [
            ("mcp-protocol-version", MODERN),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
        ];
        assert_eq!(world.post(&headers, &body).0, status, "{name:?}");
    }
}

/// Returns the parameters of a tool call whose login fails.
fn failing_login() -> Value {
    json!({
        "name": "user-auth_login",
        "arguments": {"username": "nobody", "password": "not the right one"},
    })
}

/// Reports whether the failed login is a result; otherwise it has to be an error.
fn is_result(answer: &Value) -> bool {
    let result = &answer["result"];
    let is_result = result.is_object();
    let error = match is_result {
        true => &result["structuredContent"]["error"],
        false => &answer["error"],
    };
    assert_eq!(error["code"], -32001, "{answer}");
    assert_eq!(error["data"]["operation"], "login", "{answer}");
    assert_eq!(error["data"]["module"], "UserAuth", "{answer}");
    if is_result {
        assert_eq!(result["isError"], true, "{answer}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let text: Value = serde_json::from_str(text).unwrap();
        assert_eq!(text, result["structuredContent"]);
    }
    is_result
}

#[test]
fn failed_operations_are_results_in_every_stated_version_that_supports_it() {
    let world = World::new();
    let (status, answer) = modern(&world, "tools/call", failing_login());
    assert_eq!((status, is_result(&answer)), (200, true));
    for (version, expected) in [
        ("2024-11-05", false),
        ("2025-03-26", true),
        ("2025-06-18", true),
        ("2025-11-25", true),
    ] {
        let (status, answer) = handshake(&world, version, "tools/call", failing_login());
        assert_eq!((status, is_result(&answer)), (200, expected), "{version}");
    }
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": failing_login()});
    let (status, answer) = world.post(&[], &body.to_string());
    assert_eq!((status, is_result(&answer)), (200, false));
}

#[test]
fn failed_operations_in_a_batch_are_answered_like_single_ones() {
    let world = World::new();
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": failing_login()});
    let batch = json!([call, call]).to_string();
    for (headers, expected) in [
        (&[][..], false),
        (&[("mcp-protocol-version", "2024-11-05")], false),
        (&[("mcp-protocol-version", "2025-03-26")], true),
    ] {
        let (_, answer) = world.post(headers, &batch);
        let answers = answer.as_array().unwrap();
        assert_eq!(answers.len(), 2);
        assert!(
            answers.iter().all(|answer| is_result(answer) == expected),
            "{headers:?}"
        );
    }
}

#[test]
fn failed_operations_are_results_or_errors_as_configured() {
    for (setting, unnamed, old, new) in [
        (ToolErrors::Result, true, true, true),
        (ToolErrors::Error, false, false, false),
        (ToolErrors::Auto, false, false, true),
    ] {
        let mut world = World::new();
        world.settings.tool_errors = setting;
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": failing_login()});
        let (_, answer) = world.post(&[], &body.to_string());
        assert_eq!(is_result(&answer), unnamed, "{setting:?}");
        for (version, expected) in [("2024-11-05", old), ("2025-11-25", new)] {
            let (_, answer) = handshake(&world, version, "tools/call", failing_login());
            assert_eq!(is_result(&answer), expected, "{setting:?} {version}");
        }
        let (_, answer) = modern(&world, "tools/call", failing_login());
        assert!(is_result(&answer), "its codes are not ours to use");
    }
}

#[test]
fn invalid_arguments_are_reported_field_by_field() {
    let world = World::new();
    let call = json!({
        "name": "user-auth_register",
        "arguments": {"username": 5, "admin": true},
    });
    let paths = |error: &Value| -> Vec<String> {
        let fields = error["data"]["details"]["fields"].as_array().unwrap();
        fields
            .iter()
            .map(|field| field["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = ["$.password", "$.admin", "$.username"];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call});
    let (_, answer) = world.post(&[], &body.to_string());
    assert_eq!(answer["error"]["code"], -32000);
    assert_eq!(answer["error"]["message"], "Business validation failed");
    assert_eq!(paths(&answer["error"]), expected);
    for (_, answer) in [
        handshake(&world, "2025-06-18", "tools/call", call.clone()),
        handshake(&world, "2025-11-25", "tools/call", call.clone()),
        modern(&world, "tools/call", call.clone()),
    ] {
        assert_eq!(answer["result"]["isError"], true);
        assert_eq!(
            paths(&answer["result"]["structuredContent"]["error"]),
            expected
        );
    }
}

#[test]
fn errors_do_not_echo_the_input() {
    let world = World::new();
    for secret in [
        json!(987654321),
        json!(["hunter2"]),
        json!({"a": "hunter2"}),
    ] {
        let input = json!({"username": "alice", "password": secret});
        let error = testing::invoke("login", input, &world.call()).unwrap_err();
        let shown = error.to_object(world.ports().clock.now()).to_string();
        assert!(
            shown.contains("$.password") && shown.contains("expected a string"),
            "{shown}"
        );
        assert!(
            !shown.contains("987654321") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

#[test]
fn the_primary_operation_runs_any_other_or_reports_what_is_missing() {
    let world = World::new();
    let run = |data: Value| world.run("execute_primary_operation", json!({"data": data}));
    let credentials = json!({"username": "alice", "password": "correct horse battery staple"});
    let mut register = credentials.clone();
    register["operation"] = json!("register");
    assert_eq!(run(register).unwrap()["username"], "alice");
    assert_eq!(run(credentials).unwrap()["token_type"], "Bearer");
    for data in [
        json!({}),
        json!({"username": "alice"}),
        json!({"operation": 1}),
        json!(5),
        json!({"operation": "no_such"}),
        json!({"operation": "execute_primary_operation", "data": {}}),
    ] {
        let error = testing::invoke(
            "execute_primary_operation",
            json!({"data": data}),
            &world.call(),
        )
        .unwrap_err();
        assert_eq!(error.message, "Business validation failed", "{data}");
        assert!(!error.details()["fields"].as_array().unwrap().is_empty());
        assert!(
            error.details()["operations"]
                .as_array()
                .unwrap()
                .contains(&json!("login"))
        );
    }
}

#[test]
fn session_resources_are_readable_only_by_their_owner() {
    let world = World::new();
    let alice = world.alice();
    let credentials = json!({"username": "mallory", "password": "another long enough password"});
    world.run("register", credentials.clone()).unwrap();
    let mallory = world.run("login", credentials).unwrap();
    let uri = format!(
        "mcp://user-auth/sessions/{}",
        alice["session_id"].as_str().unwrap()
    );
    let read = |token: Option<&Value>| {
        let bearer = token.map(|token| format!("Bearer {}", token.as_str().unwrap()));
        let mut headers = vec![
            ("mcp-protocol-version", MODERN),
            ("mcp-method", "resources/read"),
            ("mcp-name", uri.as_str()),
        ];
        if let Some(bearer) = &bearer {
            headers.push(("authorization", bearer));
        }
        world.post(
            &headers,
            &modern_body("resources/read", json!({"uri": uri})),
        )
    };
    let (status, answer) = read(Some(&alice["access_token"]));
    assert_eq!(status, 200);
    assert!(
        answer["result"]["contents"][0]["text"]
            .as_str()
            .unwrap()
            .contains("alice")
    );
    assert_eq!(answer["result"]["cacheScope"], "private");
    let (status, answer) = read(Some(&mallory["access_token"]));
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)));
    let (status, answer) = read(None);
    assert_eq!((status, &answer["error"]["code"]), (401, &json!(-32001)));
    assert_eq!(read(Some(&alice["refresh_token"])).0, 401);
}

#[test]
fn progress_and_logs_are_sent_only_to_clients_that_request_them() {
    let world = World::new();
    let register = |meta: Value, name: &str| {
        let params = json!({
            "name": "user-auth_register",
            "arguments": {"username": name, "password": "correct horse battery staple"},
            "_meta": meta,
        });
        handshake(&world, "2025-11-25", "tools/call", params)
    };
    register(json!({}), "bob");
    assert!(world.notifications.borrow().is_empty());
    register(json!({"progressToken": "p"}), "carol");
    let told = world.notifications.take();
    let steps: Vec<i64> = told
        .iter()
        .map(|n| n["params"]["progress"].as_i64().unwrap())
        .collect();
    assert_eq!(steps, [0, 1, 2]);
    assert!(told.iter().all(|n| n["params"]["progressToken"] == "p"));
}

#[test]
fn completions_are_filtered_and_empty_for_unknown_references() {
    let world = World::new();
    let complete = |reference: Value, name: &str, value: &str| {
        let params = json!({"ref": reference, "argument": {"name": name, "value": value}});
        handshake(&world, "2025-11-25", "completion/complete", params).1["result"]["completion"]
            .clone()
    };
    let prompt = json!({"type": "ref/prompt", "name": "diagnose_login_failure"});
    let codes = complete(prompt.clone(), "error_code", "-3200");
    assert_eq!(codes["values"].as_array().unwrap().len(), 5);
    assert_eq!(
        complete(prompt.clone(), "error_code", "-32003")["values"],
        json!(["-32003"])
    );
    assert_eq!(complete(prompt, "no_such", "")["values"], json!([]));
    let unknown = json!({"type": "ref/prompt", "name": "no_such"});
    assert_eq!(complete(unknown, "x", "")["values"], json!([]));
    let template = json!({"type": "ref/resource", "uri": "mcp://user-auth/sessions/{session_id}"});
    assert_eq!(
        complete(template, "session_id", "")["values"],
        json!([]),
        "the caller has no session"
    );
}

/// The completed text becomes the prefix of a store key.
#[test]
fn session_ids_are_completed_only_from_valid_beginnings() {
    let world = World::new();
    let tokens = world.alice();
    let session = tokens["session_id"].as_str().unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let complete = |value: &str| {
        let template = "mcp://user-auth/sessions/{session_id}";
        let params = json!({
            "ref": {"type": "ref/resource", "uri": template},
            "argument": {"name": "session_id", "value": value},
        });
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": "completion/complete", "params": params});
        let headers = [
            ("mcp-protocol-version", "2025-11-25"),
            ("authorization", &bearer),
        ];
        let (_, answer) = world.post(&headers, &body.to_string());
        answer["result"]["completion"]["values"].clone()
    };
    assert_eq!(complete(""), json!([session]));
    assert_eq!(complete(session), json!([session]));
    for other in [
        "x",
        "a/b",
        "host/",
        &format!("{session}0"),
        &"0".repeat(600),
    ] {
        assert_eq!(complete(other), json!([]), "{other}");
    }
}
