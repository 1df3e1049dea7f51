//! What clients of many languages send, and what they can make of the answers.

use std::fs;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, Stdio, command, folder};

/// A call of a tool with these headers, and its answer.
fn call(server: &Server, headers: &[(&str, &str)], operation: &str, arguments: Value) -> Value {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    server.post(headers, body.to_string()).json()
}

fn wrong_password() -> Value {
    json!({"username": "alice", "password": "not the right one"})
}

/// Whether an answer has a failed login as a result; or else as an error.
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
fn params_of_null_or_an_empty_array_are_as_if_left_out() {
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
fn null_in_an_optional_field_is_as_if_it_was_left_out() {
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
        "a secret is never left out so"
    );
}

#[test]
fn an_integer_may_have_a_fraction_of_zero_and_an_id_comes_back_as_it_was_sent() {
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
fn a_request_with_the_id_1_0_is_cancelled_by_the_id_1() {
    let mut client = Stdio::start(&["--store", "memory"]);
    let params = json!({
        "name": "user-auth_register",
        "arguments": {"username": "alice", "password": PASSWORD},
        "_meta": {"progressToken": "p"},
    });
    client.request(json!(7.0), "tools/call", params);
    // It has begun to hash, which takes much longer than the next line.
    assert_eq!(client.receive()["method"], "notifications/progress");
    let params = json!({"requestId": 7});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    client.send(cancel.to_string());
    client.request("next", "ping", json!({}));
    assert_eq!(client.receive()["id"], "next");
}

#[test]
fn types_are_named_as_json_names_them() {
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
fn a_failed_operation_over_http_is_a_result_for_clients_that_name_a_version_which_has_it() {
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
fn how_a_failed_operation_is_answered_can_be_set() {
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
fn over_stdio_a_failed_operation_is_answered_as_initialize_agreed() {
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
fn the_capabilities_have_at_most_4_kb_and_the_schemas_of_one_operation_on_request() {
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
        told.contains("user-auth_get_capabilities sums up"),
        "{told}"
    );
}

#[test]
fn a_search_among_many_users_has_all_that_it_finds_on_its_first_page() {
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
    let none = page(r#"{"search": "nobody"}"#);
    assert_eq!(none, json!({"users": []}));
    let first = page(r#"{"search": "user1", "limit": 100}"#);
    assert_eq!(first["users"].as_array().unwrap().len(), 100);
    let second = json!({"search": "user1", "limit": 100, "after": first["next"]}).to_string();
    let second = page(&second);
    assert_eq!(second["users"].as_array().unwrap().len(), 100);
    assert_ne!(second["users"][0], first["users"][0]);
}

#[test]
fn the_header_authorization_is_enough_to_show_a_session_and_to_end_it() {
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
