//! Messages as clients in many languages send them, and the responses these clients can
//! use.

use std::fs;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, Stdio, command, folder};

/// Calls a tool with these headers and returns the answer.
fn call(server: &Server, headers: &[(&str, &str)], operation: &str, arguments: Value) -> Value {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    server.post(headers, body.to_string()).json()
}

fn wrong_password() -> Value {
    json!({"username": "alice", "password": "not the right one"})
}

/// Returns whether the answer contains the failed login as a result and not as an error.
fn is_result(answer: &Value) -> bool {
    let result = &answer["result"];
    let error = match result.is_object() {
        true => &result["structuredContent"]["error"],
        false => &answer["error"],
    };
    crate::http::assert_error_object(error, -32001, "login");
    if result.is_object() {
        assert_eq!(result["isError"], true, "{answer}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let text: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            text, result["structuredContent"],
            "for clients that show only it"
        );
    }
    result.is_object()
}

#[test]
fn null_or_empty_array_params_count_as_omitted() {
    let server = Server::start();
    for method in [
        "initialize",
        "ping",
        "tools/list",
        "resources/list",
        "prompts/list",
    ] {
        let answers = [
            "",
            r#","params":null"#,
            r#","params":[]"#,
            r#","params":{}"#,
        ]
        .map(|params| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#);
            let answer = server.post(&[], body);
            assert_eq!(answer.status, 200, "{method} {params}");
            answer.json()
        });
        assert!(answers[0]["result"].is_object(), "{method}");
        assert!(answers.iter().all(|it| *it == answers[0]), "{method}");
    }
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":null}"#;
    assert_eq!(server.post(&[], notification).status, 202);
    let mut client = Stdio::start(&["--store", "memory"]);
    client.request(1, "ping", Value::Null);
    assert_eq!(client.receive()["result"], json!({}));
}

#[test]
fn null_in_an_optional_field_counts_as_omitted() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let key = json!({
        "access_token": tokens["access_token"], "name": "ci", "scopes": null,
        "expires_in_days": null, "user_id": null,
    });
    let key = server.call("create_api_key", key).unwrap();
    assert_eq!(key["scopes"], json!([]));
    let error = server.call("login", json!({"username": "alice", "password": null}));
    let error = error.unwrap_err();
    let fields = &error["data"]["details"]["fields"];
    assert_eq!(
        fields[0]["path"], "$.password",
        "a secret cannot be omitted with null"
    );
}

#[test]
fn integers_may_have_a_zero_fraction_and_ids_are_echoed_verbatim() {
    let server = Server::start();
    let body = r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#;
    let answer = server.post(&[], body);
    assert!(answer.text.contains(r#""id":1.0"#), "{}", answer.text);
    assert_eq!(answer.json()["result"], json!({}));
    let tokens = server.new_session("alice");
    let key = json!({
        "access_token": tokens["access_token"], "name": "ci", "expires_in_days": 30.0,
    });
    server.call("create_api_key", key).unwrap();

    let params = json!({
        "name": "user-auth_register",
        "arguments": {"username": "bob", "password": PASSWORD},
        "_meta": {"progressToken": 1.0},
    });
    let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
    let answer = server.post(&[("accept", "text/event-stream")], body.to_string());
    assert!(
        answer.text.contains(r#""progressToken":1.0"#),
        "{}",
        answer.text
    );
}

#[test]
fn json_in_a_string_counts_as_what_it_contains_except_where_a_string_is_expected() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let key = json!({
        "access_token": tokens["access_token"], "name": "30", "expires_in_days": "30",
        "scopes": "[\"self\"]",
    });
    let key = server.call("create_api_key", key).unwrap();
    assert_eq!(
        (&key["name"], &key["scopes"]),
        (&json!("30"), &json!(["self"]))
    );
    let arguments = json!({"username": "bob", "password": "[\"a long enough password\"]"});
    let params = json!({"name": "user-auth_register", "arguments": arguments.to_string()});
    let answer = server.rpc("tools/call", params);
    assert_eq!(answer["result"]["structuredContent"]["username"], "bob");
    assert!(server.call("login", arguments).is_ok());
}

#[test]
fn errors_name_the_next_step() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let next = |operation: &str, input: Value| {
        let mut error = server.call(operation, input).unwrap_err();
        error["data"]["details"]["next"].take()
    };
    assert_eq!(
        next("get_session", json!({"access_token": "x"})),
        json!({"tool": "user-auth_refresh_token", "arguments": {}})
    );
    assert_eq!(
        next(
            "list_users",
            json!({"access_token": tokens["access_token"]})
        ),
        json!({
            "tool": "user-auth_explain_permissions",
            "arguments": {"permission": "user-auth:users:read"},
        })
    );
    let wrong = json!({"username": "alice", "password": "not the right one"});
    assert_eq!(next("login", wrong), Value::Null);
}

#[test]
fn a_request_with_id_1_0_is_cancelled_by_id_1() {
    let mut client = Stdio::start(&["--store", "memory"]);
    let params = json!({
        "name": "user-auth_register",
        "arguments": {"username": "alice", "password": PASSWORD},
        "_meta": {"progressToken": "p"},
    });
    client.request(json!(7.0), "tools/call", params);
    // The call has begun to hash, which takes much longer than the next line.
    assert_eq!(client.receive()["method"], "notifications/progress");
    let params = json!({"requestId": 7});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    client.send(cancel.to_string());
    client.request("next", "ping", json!({}));
    assert_eq!(client.receive()["id"], "next");
}

#[test]
fn errors_use_the_type_names_of_json() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let problem = |operation: &str, field: &str, value: Value| {
        let mut input = json!({"access_token": tokens["access_token"]});
        input[field] = value;
        let error = server.call(operation, input).unwrap_err();
        let fields = error["data"]["details"]["fields"].as_array().unwrap();
        let path = format!("$.{field}");
        let of_field = fields.iter().find(|it| it["path"] == path.as_str());
        of_field.unwrap()["problem"].as_str().unwrap().to_owned()
    };
    for (operation, field, value, expected) in [
        (
            "create_api_key",
            "expires_in_days",
            json!("x"),
            "expected an integer, 0 or more",
        ),
        (
            "create_api_key",
            "expires_in_days",
            json!(1.5),
            "expected an integer, 0 or more",
        ),
        (
            "create_api_key",
            "scopes",
            json!("self"),
            "expected an array",
        ),
        ("create_api_key", "name", json!(5), "expected a string"),
        (
            "execute_primary_operation",
            "data",
            json!(5),
            "expected an object with the field operation",
        ),
    ] {
        let mut input = json!({});
        input[field] = value.clone();
        assert_eq!(
            match operation {
                "execute_primary_operation" => {
                    let error = server.call(operation, input).unwrap_err();
                    let problem = &error["data"]["details"]["fields"][0]["problem"];
                    problem.as_str().unwrap().to_owned()
                }
                _ => problem(operation, field, value),
            },
            expected,
            "{operation}.{field}"
        );
    }
}

#[test]
fn a_failed_operation_over_http_is_a_result_if_the_named_version_supports_that() {
    let server = Server::start();
    for (version, expected) in [
        (None, false),
        (Some("2024-11-05"), false),
        (Some("2025-03-26"), true),
        (Some("2025-06-18"), true),
        (Some("2025-11-25"), true),
    ] {
        let header = version.map(|version| ("mcp-protocol-version", version));
        let headers: Vec<_> = header.into_iter().collect();
        let answer = call(&server, &headers, "login", wrong_password());
        assert_eq!(is_result(&answer), expected, "{version:?}");
    }
    let params = json!({"name": "user-auth_login", "arguments": wrong_password()});
    let one = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let batch = json!([one, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]).to_string();
    let header = ("mcp-protocol-version", "2025-03-26");
    assert!(is_result(&server.post(&[header], &batch).json()[0]));
    assert!(!is_result(&server.post(&[], &batch).json()[0]));
}

#[test]
fn the_form_of_failed_operations_can_be_set() {
    for (setting, expected) in [("result", true), ("error", false)] {
        let server = Options::new()
            .store("memory")
            .env("USER_AUTH_MCP_TOOL_ERRORS", setting)
            .start();
        for headers in [&[][..], &[("mcp-protocol-version", "2025-11-25")]] {
            let answer = call(&server, headers, "login", wrong_password());
            assert_eq!(is_result(&answer), expected, "{setting} {headers:?}");
        }
    }
}

#[test]
fn over_stdio_a_failed_operation_has_the_form_agreed_by_initialize() {
    for (version, agreed, expected) in [
        ("2024-11-05", "2024-11-05", false),
        ("2025-03-26", "2025-03-26", true),
        ("2025-06-18", "2025-06-18", true),
        ("2025-11-25", "2025-11-25", true),
        ("1999-01-01", "2025-11-25", true),
    ] {
        let mut client = Stdio::start(&["--store", "memory"]);
        assert!(
            !is_result(&client.call("login", wrong_password())),
            "before it"
        );
        // The next line does not wait for the answer.
        client.request(0, "initialize", json!({"protocolVersion": version}));
        let params = json!({"name": "user-auth_login", "arguments": wrong_password()});
        client.request(1, "tools/call", params.clone());
        assert_eq!(client.receive()["result"]["protocolVersion"], agreed);
        assert_eq!(is_result(&client.receive()), expected, "{version}");
        let one = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        client.send(json!([one]).to_string());
        assert_eq!(
            is_result(&client.receive()[0]),
            expected,
            "{version}, in a batch"
        );
    }
}

#[test]
fn capabilities_are_at_most_4_kb_and_include_schemas_on_request() {
    let server = Server::start();
    let summary = server.call("get_capabilities", json!({})).unwrap();
    let length = summary.to_string().len();
    assert!(length <= 4096, "{length} bytes");
    for part in [
        "operations",
        "policies",
        "limits",
        "errors",
        "protocol_versions",
    ] {
        assert!(!summary[part].is_null(), "{part}");
    }
    let login = server
        .call("get_capabilities", json!({"operation": "login"}))
        .unwrap();
    assert_eq!(login["tool"], "user-auth_login");
    assert!(login["input_schema"]["properties"]["username"].is_object());
    assert!(login["output_schema"].is_object());
    let resource = server.resource("mcp://user-auth/capabilities");
    assert_eq!(resource["operations"], summary["operations"]);
    let told = server.rpc("initialize", json!({}))["result"]["instructions"].to_string();
    assert!(
        told.contains("user-auth_get_capabilities lists the operations"),
        "{told}"
    );
}

#[test]
fn a_search_returns_all_matches_on_its_first_page() {
    let home = folder();
    let lines: Vec<String> = (0..2_500)
        .map(|number| json!({"username": format!("user{number}")}).to_string())
        .collect();
    let file = home.path().join("users.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let imported = command(home.path())
        .arg("import")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );
    let page = |input: &str| {
        let output = command(home.path())
            .args(["call", "list_users", "--json", input])
            .output()
            .unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let found = page(r#"{"search": "SER2499"}"#);
    assert_eq!(found["users"][0]["username"], "user2499");
    assert_eq!(found["next"], Value::Null, "{found}");
    let none = page(r#"{"search": "unknown"}"#);
    assert_eq!(none, json!({"users": []}));
    let first = page(r#"{"search": "user1", "limit": 100}"#);
    assert_eq!(first["users"].as_array().unwrap().len(), 100);
    let second = json!({"search": "user1", "limit": 100, "after": first["next"]}).to_string();
    let second = page(&second);
    assert_eq!(second["users"].as_array().unwrap().len(), 100);
    assert_ne!(second["users"][0], first["users"][0]);
}

#[test]
fn the_authorization_header_suffices_to_read_and_end_a_session() {
    let server = Server::start();
    let tokens = server.new_session("alice");
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let own = |operation: &str| call(&server, &headers, operation, json!({}));
    let session = own("get_session");
    let session_id = &session["result"]["structuredContent"]["session_id"];
    assert_eq!(*session_id, tokens["session_id"], "{session}");
    let ended = own("logout");
    let session_id = &ended["result"]["structuredContent"]["session_id"];
    assert_eq!(*session_id, tokens["session_id"], "{ended}");
    assert_eq!(own("get_session")["error"]["code"], -32001);
}
