//! Variants of JSON that programming languages produce: fields that are null, integers
//! with a fraction of zero, empty maps that are arrays.

use serde_json::{Value, json};

use crate::dispatch::schemas;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::operations::TABLE;
use crate::testing::{self, World};
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";

/// Every method of the handshake era.
const METHODS: [&str; 11] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
];

#[test]
fn params_of_null_or_an_empty_array_are_treated_as_missing() {
    let world = World::new();
    for method in METHODS.iter().chain(&["no/such"]) {
        let absent = json!({"jsonrpc": "2.0", "id": 1, "method": method});
        let expected = world.post(&[], &absent.to_string());
        for params in [json!(null), json!([]), json!({})] {
            let mut body = absent.clone();
            body["params"] = params.clone();
            let answer = world.post(&[], &body.to_string());
            assert_eq!(answer, expected, "{method} {params}");
        }
        let mut body = absent;
        for params in [json!([1]), json!(5), json!("x"), json!(false)] {
            body["params"] = params.clone();
            let (_, answer) = world.post(&[], &body.to_string());
            assert_eq!(answer["error"]["code"], -32602, "{method} {params}");
        }
    }
    for params in [json!(null), json!([]), json!([1])] {
        let body =
            json!({"jsonrpc": "2.0", "method": "notifications/initialized", "params": params});
        assert_eq!(world.post(&[], &body.to_string()), (202, Value::Null));
    }
}

#[test]
fn arguments_and_meta_of_null_or_an_empty_array_are_treated_as_missing() {
    let world = World::new();
    for empty in [json!(null), json!([]), json!({})] {
        let params =
            json!({"name": "user-auth_get_capabilities", "arguments": empty, "_meta": empty});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let (_, answer) = world.post(&[("mcp-protocol-version", "2025-11-25")], &body.to_string());
        assert_eq!(answer["result"]["isError"], false, "{empty}: {answer}");
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": [],
    });
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
    ];
    let (_, answer) = world.post(&headers, &body.to_string());
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    let arguments = json!({"username": "alice", "email": null});
    let params = json!({"name": "sign_up_user", "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": params});
    let (_, answer) = world.post(&[], &body.to_string());
    assert!(answer["result"]["messages"].is_array(), "{answer}");
}

#[test]
fn an_id_of_null_is_accepted_in_notifications_and_refused_in_requests() {
    let world = World::new();
    let body = json!({"jsonrpc": "2.0", "id": null, "method": "notifications/initialized"});
    assert_eq!(world.post(&[], &body.to_string()), (202, Value::Null));
    let body = json!({"jsonrpc": "2.0", "id": null, "method": "tools/list"});
    let (_, answer) = world.post(&[], &body.to_string());
    assert_eq!(answer["error"]["code"], -32600);
}

#[test]
fn integers_with_a_fraction_of_zero_are_accepted() {
    let world = World::new();
    for id in ["1.0", "-3.0", "1e3", "10000000000000000000000.0", "1.7e38"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let (_, answer) = world.post(&[], &body);
        let sent: f64 = id.parse().unwrap();
        assert_eq!(answer["id"], json!(sent), "{answer}");
        assert_eq!(answer["result"], json!({}), "{id}");
    }
    for id in ["1.5", "1e300", "-1e-7"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let (_, answer) = world.post(&[], &body);
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(-32600))
        );
    }

    let alice = world.alice();
    let token = alice["access_token"].as_str().unwrap();
    let run = |operation, mut input: Value| {
        input["access_token"] = token.into();
        world.run(operation, input)
    };
    let key = json!({"name": "ci", "scopes": ["self"], "expires_in_days": 30.0});
    assert!(run("create_api_key", key).is_ok());
    let page = world.run_as(Principal::Operator, "list_users", json!({"limit": 10.0}));
    assert_eq!(page.unwrap()["users"].as_array().unwrap().len(), 1);
    let page = world.run_as(Principal::Operator, "list_users", json!({"limit": 10.5}));
    assert_eq!(page, Err(-32000));
}

#[test]
fn progress_tokens_are_returned_as_they_were_sent() {
    let world = World::new();
    let params = json!({
        "name": "user-auth_register",
        "arguments": {"username": "bob", "password": PASSWORD},
        "_meta": {"progressToken": 7.0},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    world.post(&[], &body.to_string());
    let told = world.notifications.take();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|it| it["params"]["progressToken"] == 7.0));
}

#[test]
fn null_in_an_optional_field_is_treated_as_missing() {
    let world = World::new();
    let alice = world.alice();
    let token = || Secret::new(alice["access_token"].as_str().unwrap().to_owned());
    for operation in TABLE {
        let schema = schemas::of(operation.name).input.value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (field, _) in schema["properties"].as_object().unwrap() {
            if required.contains(&json!(field)) {
                continue;
            }
            let input = |value: Option<Value>| {
                let mut input = json!({});
                for name in &required {
                    input[name.as_str().unwrap()] = json!(["not", "right"]);
                }
                if let Some(value) = value {
                    input[field] = value;
                }
                input
            };
            let problem = |input| {
                let caller = Caller {
                    principal: Principal::AccessToken(token()),
                    source: Source::from_peer(None),
                };
                let call = Call {
                    caller: &caller,
                    ..world.call()
                };
                let answer = testing::invoke(operation.name, input, &call);
                answer
                    .err()
                    .map(|error| error.details().get("fields").cloned())
            };
            let name = format!("{}.{field}", operation.name);
            // Both report the same problem, even if the rest of the input is wrong as
            // well.
            if !required.is_empty() {
                assert_eq!(
                    problem(input(Some(Value::Null))),
                    problem(input(None)),
                    "{name}"
                );
            }
            let wrong = problem(input(Some(json!({"a": [1]}))));
            assert!(
                wrong
                    .flatten()
                    .unwrap()
                    .to_string()
                    .contains(field.as_str()),
                "{name}"
            );
        }
    }
    let key = json!({"name": "ci", "scopes": null, "expires_in_days": null, "user_id": null,
        "access_token": alice["access_token"]});
    let key = world.run("create_api_key", key).unwrap();
    assert!(key["api_key"].is_string());
    let page = json!({"limit": null, "search": null, "after": null});
    let page = world
        .run_as(Principal::Operator, "list_users", page)
        .unwrap();
    assert_eq!(page["users"][0]["username"], "alice");
    let users = json!({"users": [{"username": "bob", "roles": null, "disabled": null}]});
    let imported = world
        .run_as(Principal::Operator, "import_users", users)
        .unwrap();
    let problem = imported["users"][0]["problem"].to_string();
    assert!(
        !problem.contains("roles") && !problem.contains("disabled"),
        "{problem}"
    );
}

#[test]
fn json_in_a_string_is_read_where_something_else_is_expected() {
    let world = World::new();
    let run = |operation, input| world.run_as(Principal::Operator, operation, input);
    let role = json!({"role": "clerk", "permissions": r#"["billing:read"]"#});
    let role = run("define_role", role).unwrap();
    assert_eq!(role["permissions"], json!(["billing:read"]));
    let users = json!([
        json!({"username": "bob", "disabled": "true", "roles": "[\"clerk\"]"}).to_string(),
        {"username": "true", "disabled": "false"},
    ]);
    for users in [users.clone(), json!(users.to_string())] {
        let input = json!({"users": users, "dry_run": "false"});
        let imported = run("import_users", input).unwrap();
        for user in imported["users"].as_array().unwrap() {
            assert_eq!(user["problem"], Value::Null, "{imported}");
        }
    }
    let bob = run("get_user", json!({"username": "bob"})).unwrap();
    assert_eq!(
        (&bob["status"], &bob["roles"]),
        (&json!("disabled"), &json!(["clerk"]))
    );
    let page = run("list_users", json!({"limit": "1"})).unwrap();
    assert_eq!(page["users"].as_array().unwrap().len(), 1);
    let page = run("list_users", json!({"limit": "2.0", "search": null})).unwrap();
    assert_eq!(page["users"].as_array().unwrap().len(), 2);
    let data = json!({"operation": "get_user", "username": "bob"});
    let same = run(
        "execute_primary_operation",
        json!({"data": data.to_string()}),
    );
    assert_eq!(same.unwrap(), bob);
}

/// A string field takes a string, as it is: neither a secret nor an identifier is read as
/// JSON, and nothing else is turned into a string.
#[test]
fn a_string_is_never_read_as_something_else_where_a_string_is_expected() {
    let world = World::new();
    let password = r#"["correct horse battery staple"]"#;
    for username in ["12345", "true", "[1]"] {
        let input = json!({"username": username, "password": password});
        let registered = world.run("register", input).unwrap();
        assert_eq!(registered["username"], username);
        assert!(world.log_in(username, password).is_ok());
        assert_eq!(world.log_in(username, PASSWORD), Err(-32001));
    }
    for (username, password) in [
        (json!(12345), json!(password)),
        (json!(true), json!(password)),
        (json!(["12345"]), json!(password)),
        (json!("12345"), json!([PASSWORD])),
        (json!("12345"), json!(5)),
    ] {
        let input = json!({"username": username, "password": password});
        assert_eq!(world.run("login", input.clone()), Err(-32000), "{input}");
    }
}

#[test]
fn strings_that_are_not_the_expected_json_are_refused_with_the_type() {
    let world = World::new();
    let many = format!("[{}]", "1,".repeat(30_000) + "1");
    for (operation, field, text, problem) in [
        ("list_users", "limit", "ten", "expected an integer"),
        ("list_users", "limit", "", "expected an integer"),
        ("list_users", "limit", "10.5", "expected an integer"),
        ("list_users", "limit", "true", "expected an integer"),
        ("import_users", "dry_run", "yes", "expected a boolean"),
        ("import_users", "dry_run", "1", "expected a boolean"),
        ("create_api_key", "scopes", "self", "expected an array"),
        ("create_api_key", "scopes", "{}", "expected an array"),
        ("create_api_key", "scopes", &many, "expected an array"),
    ] {
        let mut input = json!({"users": [{"username": "bob"}], "name": "ci"});
        let shape = schemas::shape(operation);
        input
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !shape["properties"][name].is_null());
        input[field] = text.into();
        let caller = Caller {
            principal: Principal::Operator,
            source: Source::from_peer(None),
        };
        let call = Call {
            caller: &caller,
            ..world.call()
        };
        let error = testing::invoke(operation, input, &call).unwrap_err();
        let fields = &error.details()["fields"];
        assert_eq!(fields[0]["path"], format!("$.{field}"), "{fields}");
        let told = fields[0]["problem"].as_str().unwrap();
        assert!(told.starts_with(problem), "{operation} {field}: {told}");
    }
}

/// Returns the types and words of a problem that are Rust's, not JSON's.
fn words_of_rust(problem: &str) -> Vec<&str> {
    const WORDS: [&str; 16] = [
        "u8", "u16", "u32", "u64", "usize", "i32", "i64", "f64", "bool", "str", "map", "sequence",
        "struct", "unit", "tuple", "variant",
    ];
    let words = problem.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| WORDS.contains(word)).collect()
}

#[test]
fn problems_of_every_field_use_the_words_of_json() {
    let world = World::new();
    let mut reported = 0;
    for operation in TABLE {
        let shape = schemas::shape(operation.name);
        for (field, _) in shape["properties"].as_object().into_iter().flatten() {
            for value in [
                json!(true),
                json!(-1.5),
                json!("\u{1}"),
                json!([[]]),
                json!({"a": {}}),
            ] {
                let caller = Caller {
                    principal: Principal::Operator,
                    source: Source::from_peer(None),
                };
                let call = Call {
                    caller: &caller,
                    ..world.call()
                };
                let input = json!({ field: value });
                let Err(error) = testing::invoke(operation.name, input, &call) else {
                    continue;
                };
                let details = error.details();
                for it in details
                    .get("fields")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    let problem = it["problem"].as_str().unwrap();
                    let name = format!("{}.{field}: {problem}", operation.name);
                    assert_eq!(words_of_rust(problem), [""; 0], "{name}");
                    reported += 1;
                }
            }
        }
    }
    assert!(reported > 500, "{reported}");
}

#[test]
fn the_arguments_of_a_tool_may_be_the_text_of_an_object() {
    let world = World::new();
    let call = |arguments: Value| {
        let params = json!({"name": "user-auth_register", "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        world
            .post(&[("mcp-protocol-version", "2025-11-25")], &body.to_string())
            .1
    };
    let bob = json!({"username": "bob", "password": PASSWORD});
    let answer = call(json!(bob.to_string()));
    assert_eq!(answer["result"]["structuredContent"]["username"], "bob");
    let twice = r#"{"username": "carol", "username": "dave", "password": "x"}"#;
    for refused in [json!("bob"), json!("[1]"), json!(twice), json!(5)] {
        assert_eq!(call(refused)["error"]["code"], -32602);
    }
}

#[test]
fn null_in_a_required_field_is_refused() {
    let world = World::new();
    for (operation, input) in [
        ("login", json!({"username": "alice", "password": null})),
        ("login", json!({"username": null, "password": PASSWORD})),
        ("verify_token", json!({"token": null})),
        ("revoke_session", json!({"session_id": null})),
    ] {
        assert_eq!(
            world.run(operation, input.clone()),
            Err(-32000),
            "{operation} {input}"
        );
    }
}

#[test]
fn a_token_of_null_does_not_make_the_caller_the_operator() {
    let world = World::new();
    let input = json!({"access_token": null});
    let answer = world.run_as(Principal::Operator, "list_users", input.clone());
    assert_eq!(answer, Err(-32000));
    assert_eq!(
        world.run("list_users", input),
        Err(-32001),
        "as without a caller"
    );
    let alice = world.alice();
    let token = Secret::new(alice["access_token"].as_str().unwrap().to_owned());
    let own = world.run_as(
        Principal::AccessToken(token),
        "list_sessions",
        json!({"access_token": null}),
    );
    assert_eq!(own.unwrap()["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_bearer_header_is_enough_to_read_and_end_a_session() {
    let world = World::new();
    let alice = world.alice();
    let principal = || {
        let token = alice["access_token"].as_str().unwrap().to_owned();
        Principal::AccessToken(Secret::new(token))
    };
    for input in [json!({}), json!({"access_token": alice["access_token"]})] {
        let session = world.run_as(principal(), "get_session", input).unwrap();
        assert_eq!(session["session_id"], alice["session_id"]);
    }
    let other = world.log_in("alice", PASSWORD).unwrap();
    // A field takes precedence over the header.
    let ended = json!({"refresh_token": other["refresh_token"]});
    let ended = world.run_as(principal(), "logout", ended).unwrap();
    assert_eq!(ended["session_id"], other["session_id"]);
    let input = json!({"access_token": null, "refresh_token": null});
    let ended = world.run_as(principal(), "logout", input).unwrap();
    assert_eq!(ended["session_id"], alice["session_id"]);
    assert_eq!(
        world.run_as(principal(), "get_session", json!({})),
        Err(-32001)
    );
    let again = world.run_as(principal(), "logout", json!({})).unwrap();
    assert_eq!(
        again["session_id"], alice["session_id"],
        "and is over already"
    );
    for without_session in [Principal::Anonymous, Principal::Operator] {
        assert_eq!(
            world.run_as(without_session, "logout", json!({})),
            Err(-32000)
        );
    }
}

#[test]
fn capabilities_are_short_and_describe_one_operation_on_request() {
    let world = World::new().with_pages();
    let summary = world.run("get_capabilities", json!({})).unwrap();
    let length = summary.to_string().len();
    assert!(length <= 4096, "{length} bytes");
    let names = summary["operations"].as_array().unwrap();
    assert_eq!(names.len(), TABLE.len());
    for field in [
        "policies",
        "limits",
        "errors",
        "protocol_versions",
        "version",
    ] {
        assert!(!summary[field].is_null(), "{field}");
    }
    let prefix = summary["tool_prefix"].as_str().unwrap();
    for operation in TABLE {
        let by_name = world.run("get_capabilities", json!({"operation": operation.name}));
        let by_name = by_name.unwrap();
        assert_eq!(by_name["name"], operation.name);
        assert_eq!(by_name["tool"], format!("{prefix}{}", operation.name));
        assert_eq!(by_name["input_schema"]["type"], "object");
        assert_eq!(
            by_name["output_schema"]["type"], "object",
            "{}",
            operation.name
        );
        let by_tool = world.run("get_capabilities", json!({"operation": by_name["tool"]}));
        assert_eq!(by_tool.unwrap(), by_name);
    }
    let unknown = world.run("get_capabilities", json!({"operation": "fly"}));
    assert_eq!(unknown, Err(-32000));
}
