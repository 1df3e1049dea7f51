//! Toolsets and read-only connections: what is switched off is neither listed nor run, by
//! any door of MCP.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::oauth::text;
use crate::domain::access::toolset::{Toolset, Toolsets};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::http::{self, Request};
use crate::operations::{self, Effect, TABLE};
use crate::settings::Settings;
use crate::testing::{World, invoke};

const PASSWORD: &str = "correct horse battery staple";

/// A world in which nothing is set but that there are pages.
fn usual() -> World {
    let mut world = World::new();
    world.settings = Settings::default();
    world.with_pages()
}

fn with_toolsets(list: &str) -> World {
    let mut world = World::new().with_pages();
    world.settings.toolsets = Toolsets::parse(list).ok();
    world
}

fn message(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

fn tool(operation: &str, arguments: &Value) -> String {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    message("tools/call", &params)
}

/// Sends a message by HTTP, and returns status and body.
fn send(world: &World, target: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
    let headers = headers.iter();
    let request = Request {
        method: "POST".to_owned(),
        target: target.to_owned(),
        authority: None,
        tls: false,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        api_key_header: "X-API-Key".to_owned(),
        peer: Some("192.0.2.1".to_owned()),
    };
    let body = body.as_bytes().to_vec();
    let response = http::answer(&request, || Some(body), &world.settings, world.ports());
    let body = serde_json::from_slice(&response.body.unwrap_or_default());
    (response.status, body.unwrap_or_default())
}

fn listed(answer: &Value) -> BTreeSet<String> {
    let tools = answer["result"]["tools"].as_array().unwrap().iter();
    let names = tools.map(|tool| text(&tool["name"]));
    names
        .map(|name| name.strip_prefix("user-auth_").unwrap().to_owned())
        .collect()
}

fn listed_at(world: &World, target: &str, headers: &[(&str, &str)]) -> BTreeSet<String> {
    let (_, answer) = send(world, target, headers, &message("tools/list", &json!({})));
    listed(&answer)
}

/// The names of the operations of these toolsets, and of those that are always there.
fn names(list: &str) -> BTreeSet<String> {
    let toolsets = Toolsets::parse(list).unwrap();
    let chosen = TABLE
        .iter()
        .filter(|it| it.toolset.is_none_or(|toolset| toolsets.contains(toolset)));
    chosen.map(|it| it.name.to_owned()).collect()
}

fn run(world: &World, operation: &str, input: Value) -> Value {
    world
        .run_as(Principal::Operator, operation, input)
        .unwrap_or_else(|code| panic!("{operation}: {code}"))
}

/// Registers a user who has these permissions, and returns the tokens.
fn user(world: &World, username: &str, permissions: &[&str]) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    run(world, "register", credentials.clone());
    let role = json!({"role": username, "permissions": permissions});
    run(world, "define_role", role);
    let assigned = json!({"username": username, "role": username});
    run(world, "assign_role", assigned);
    run(world, "login", credentials)
}

#[test]
fn each_operation_but_two_belongs_to_a_toolset() {
    let without = TABLE.iter().filter(|it| it.toolset.is_none());
    let without: Vec<&str> = without.map(|it| it.name).collect();
    assert_eq!(without, ["get_capabilities", "execute_primary_operation"]);
    for toolset in Toolset::ALL {
        let mut members = TABLE.iter().filter(|it| it.toolset == Some(toolset));
        assert!(members.next().is_some(), "{}", toolset.name());
    }
}

#[test]
fn a_fresh_caller_gets_a_list_of_at_most_16_kb() {
    let world = usual();
    let list = message("tools/list", &json!({}));
    let over_stdio = world.stdio(&list);
    let (_, over_http) = send(&world, "/mcp", &[], &list);
    for answer in [&over_stdio, &over_http] {
        let length = answer["result"].to_string().len();
        assert!(length <= 16_384, "{length} bytes");
    }
    let usual = names("auth,account,tokens");
    assert_eq!(listed(&over_stdio), usual);
    let mut without_permission = usual;
    without_permission.remove("introspect_token");
    assert_eq!(listed(&over_http), without_permission);
}

#[test]
fn what_is_switched_off_is_refused_by_every_door() {
    let world = usual();
    let before = world.entries();
    let inner = json!({"data": {"operation": "create_service_account", "username": "bot"}});
    let input = json!({"username": "bot"});
    let problem = "the toolset keys is not switched on";
    for line in [
        tool("create_service_account", &input),
        tool("execute_primary_operation", &inner),
    ] {
        for answer in [
            world.stdio(&line),
            world.stdio(&format!("[{line}]"))[0].clone(),
            send(&world, "/mcp", &[], &line).1,
            send(&world, "/mcp", &[], &format!("[{line}]")).1[0].clone(),
        ] {
            let answer = answer.to_string();
            assert!(answer.contains(problem), "{answer}");
            assert!(answer.contains("--toolsets"), "{answer}");
            // Nor is another one offered that is off.
            assert!(answer.contains("refresh_token"), "{answer}");
            assert!(!answer.contains("delete_user"), "{answer}");
        }
    }
    let answer = world.stdio(&tool("create_service_account", &input));
    assert_eq!(answer["error"]["code"], -32602, "as an unknown tool");
    assert_eq!(world.entries(), before);
}

#[test]
fn embedders_get_everything_unless_toolsets_are_set() {
    let operator = Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    };
    let ask = |world: &World| {
        let call = Call {
            offer: world.settings.offer_to_embedders(),
            caller: &operator,
            ..world.call()
        };
        let input = json!({"username": "bot"});
        let inner = json!({"data": {"operation": "create_service_account", "username": "bob"}});
        [
            invoke("create_service_account", input, &call),
            invoke("execute_primary_operation", inner, &call),
        ]
    };
    assert!(ask(&usual()).into_iter().all(|answer| answer.is_ok()));
    for refused in ask(&with_toolsets("auth")) {
        let error = refused.unwrap_err();
        let problem = format!("{} {:?}", error.message, error.details());
        let expected = "the toolset keys is not switched on";
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_read_only_connection_has_what_changes_nothing() {
    let mut by_setting = World::new().with_pages();
    by_setting.settings.read_only = true;
    let by_request = World::new().with_pages();
    let reads = TABLE.iter().filter(|it| it.effect == Effect::Reads);
    let mut reads: BTreeSet<String> = reads.map(|it| it.name.to_owned()).collect();
    reads.insert("execute_primary_operation".to_owned());
    let list = message("tools/list", &json!({}));
    assert_eq!(listed(&by_setting.stdio(&list)), reads);
    let alice = json!({"username": "alice", "password": PASSWORD});
    let mut inner = alice.clone();
    inner["operation"] = "register".into();
    let lines = [
        tool("register", &alice),
        tool("execute_primary_operation", &json!({"data": inner})),
        // Without a name it would be a login.
        tool("execute_primary_operation", &json!({"data": alice})),
    ];
    let header = [("x-mcp-readonly", "true")];
    for line in &lines {
        for answer in [
            by_setting.stdio(line),
            send(&by_setting, "/mcp", &[], line).1,
            send(&by_request, "/mcp/readonly", &[], line).1,
            send(
                &by_request,
                "/mcp/readonly",
                &[("x-mcp-readonly", "false")],
                line,
            )
            .1,
            send(&by_request, "/mcp", &header, line).1,
        ] {
            let answer = answer.to_string();
            assert!(answer.contains("this connection is read-only"), "{answer}");
        }
    }
    let call = by_setting.stdio(&tool("list_users", &json!({})));
    assert_eq!(call["result"]["isError"], false);
    let (_, call) = send(&by_request, "/mcp", &[], &lines[0]);
    assert!(
        call["result"].is_object(),
        "without it, all is as it was: {call}"
    );
}

#[test]
fn a_request_narrows_its_own_list_and_no_other() {
    let world = usual();
    let auth = names("auth");
    assert_eq!(
        listed_at(&world, "/mcp?toolsets=auth,users,roles", &[]),
        auth
    );
    assert_eq!(
        listed_at(&world, "/mcp", &[("x-mcp-toolsets", "auth, users")]),
        auth
    );
    let all = listed_at(&world, "/mcp", &[]);
    assert_eq!(listed_at(&world, "/mcp?toolsets=all", &[]), all);
    let logout = tool("logout", &json!({"refresh_token": "x"}));
    let (_, answer) = send(&world, "/mcp?toolsets=tokens", &[], &logout);
    let problem = "Unknown tool: the toolset auth is not switched on";
    assert_eq!(answer["error"]["message"], problem);
    let (status, answer) = send(&world, "/mcp?toolsets=login", &[], &logout);
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)));
    let said = text(&answer["error"]["message"]);
    assert!(said.contains("auth, account, tokens, users"), "{said}");
}

#[test]
fn a_list_by_http_has_what_the_caller_may_call() {
    let world = World::new().with_pages();
    let admin_only = |name: &str| {
        let requires = operations::find(name).unwrap().requires;
        matches!(
            requires,
            crate::domain::access::actor::Requirement::Permission(_)
        )
    };
    world.store_calls.take();
    let anyone = listed_at(&world, "/mcp", &[]);
    assert_eq!(world.store_calls.take(), [""; 0], "and costs nothing");
    assert!(anyone.contains("list_sessions") && anyone.contains("create_api_key"));
    assert!(!anyone.iter().any(|name| admin_only(name)));

    let alice = user(&world, "alice", &["user-auth:users:read"]);
    let bearer = format!("Bearer {}", text(&alice["access_token"]));
    let hers = listed_at(&world, "/mcp", &[("authorization", &bearer)]);
    let more: Vec<_> = hers.difference(&anyone).collect();
    assert_eq!(more, ["get_user", "list_users"]);
    assert!(hers.is_superset(&anyone));

    let root = user(&world, "root", &["*"]);
    let key = json!({
        "access_token": root["access_token"], "name": "ci", "scopes": ["user-auth:roles:read"],
    });
    let key = text(&run(&world, "create_api_key", key)["api_key"]);
    let of_key = listed_at(&world, "/mcp", &[("x-api-key", &key)]);
    assert_eq!(
        of_key.difference(&anyone).collect::<Vec<_>>(),
        ["list_roles"]
    );
    let bearer = format!("Bearer {}", text(&root["access_token"]));
    let of_root = listed_at(&world, "/mcp", &[("authorization", &bearer)]);
    assert_eq!(of_root.len(), TABLE.len());

    for invalid in [("authorization", "Bearer x"), ("x-api-key", "uak_x")] {
        assert_eq!(listed_at(&world, "/mcp", &[invalid]), anyone);
    }
    let (_, answer) = send(
        &world,
        "/mcp",
        &[("authorization", &bearer)],
        &tool("get_capabilities", &json!({})),
    );
    let operations = &answer["result"]["structuredContent"]["operations"];
    assert_eq!(operations.as_array().unwrap().len(), TABLE.len());
}

#[test]
fn capabilities_name_what_there_is_and_what_is_off_in_4_kb() {
    for (world, off) in [
        (usual(), Some("users")),
        (with_toolsets("all"), None),
        (with_toolsets("users"), Some("auth")),
    ] {
        let answer = world.stdio(&tool("get_capabilities", &json!({})));
        let summary = &answer["result"]["structuredContent"];
        let length = summary.to_string().len();
        assert!(length <= 4096, "{length} bytes");
        let operations = summary["operations"].as_array().unwrap();
        let operations: BTreeSet<String> = operations.iter().map(text).collect();
        let list = world.stdio(&message("tools/list", &json!({})));
        assert_eq!(operations, listed(&list));
        let grouped = summary["toolsets"].as_object().unwrap().iter();
        for (toolset, names) in grouped.clone() {
            for name in names.as_array().unwrap() {
                let definition = operations::find(&text(name)).unwrap();
                assert_eq!(
                    definition.toolset.map(Toolset::name),
                    Some(toolset.as_str())
                );
            }
        }
        let count: usize = grouped
            .map(|(_, names)| names.as_array().unwrap().len())
            .sum();
        assert_eq!(count + 2, operations.len());
        let names_off = summary["toolsets_off"].as_array().unwrap();
        assert_eq!(names_off.contains(&json!(off)), off.is_some());
        let on = summary["toolsets"].as_object().unwrap().len();
        assert_eq!(names_off.len() + on, Toolset::ALL.len());
        let uri = json!({"uri": "mcp://user-auth/capabilities"});
        let resource = world.stdio(&message("resources/read", &uri));
        let resource = text(&resource["result"]["contents"][0]["text"]);
        assert_eq!(serde_json::from_str::<Value>(&resource).unwrap(), *summary);
    }
    let described = tool("get_capabilities", &json!({"operation": "delete_user"}));
    let answer = usual().stdio(&described).to_string();
    assert!(
        answer.contains("the toolset users is not switched on"),
        "{answer}"
    );
    let answer = with_toolsets("users").stdio(&described);
    assert_eq!(answer["result"]["structuredContent"]["name"], "delete_user");
}

#[test]
fn prompts_completions_and_resources_offer_nothing_that_is_off() {
    let prompts = |world: &World| {
        let answer = world.stdio(&message("prompts/list", &json!({})));
        let prompts = answer["result"]["prompts"].as_array().unwrap().clone();
        let names: Vec<String> = prompts.iter().map(|it| text(&it["name"])).collect();
        for name in &names {
            let arguments = json!({"username": "alice"});
            let params = json!({"name": name, "arguments": arguments});
            let prompt = world.stdio(&message("prompts/get", &params)).to_string();
            for word in prompt.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c)) {
                let Some(operation) = word.strip_prefix("user-auth_") else {
                    continue;
                };
                let offer = world.settings.offer_over_mcp();
                let is_offered = operations::offered(operation, offer).is_ok();
                assert!(is_offered, "{name} names {operation}");
            }
        }
        names
    };
    assert_eq!(prompts(&usual()).len(), 3);
    assert_eq!(prompts(&with_toolsets("all")).len(), 3);
    assert_eq!(prompts(&with_toolsets("auth")), ["diagnose_login_failure"]);
    let mut world = World::new().with_pages();
    world.settings.read_only = true;
    assert_eq!(prompts(&world), [""; 0]);
    let hidden = json!({"name": "sign_up_user", "arguments": {"username": "alice"}});
    let answer = world.stdio(&message("prompts/get", &hidden));
    assert_eq!(answer["error"]["message"], "Unknown prompt");

    let complete = |world: &World, reference: Value, argument: &str| {
        let argument = json!({"name": argument, "value": ""});
        let params = json!({"ref": reference, "argument": argument});
        let answer = world.stdio(&message("completion/complete", &params));
        answer["result"]["completion"]["values"]
            .as_array()
            .unwrap()
            .len()
    };
    let of_prompt = json!({"type": "ref/prompt", "name": "diagnose_login_failure"});
    assert_eq!(complete(&usual(), of_prompt.clone(), "error_code"), 5);
    assert_eq!(
        complete(&with_toolsets("users"), of_prompt, "error_code"),
        0
    );

    let template = "mcp://user-auth/sessions/{session_id}";
    for (list, expected) in [("auth,account", true), ("auth", false)] {
        let world = with_toolsets(list);
        let session = text(&user(&world, "alice", &[])["session_id"]);
        let reference = json!({"type": "ref/resource", "uri": template});
        assert_eq!(complete(&world, reference, "session_id") == 1, expected);
        let answer = world.stdio(&message("resources/templates/list", &json!({})));
        assert_eq!(answer.to_string().contains(template), expected);
        let uri = json!({"uri": template.replace("{session_id}", &session)});
        let answer = world.stdio(&message("resources/read", &uri));
        assert_eq!(answer["result"].is_object(), expected, "{answer}");
    }
}

#[test]
fn toolsets_are_about_mcp_only() {
    let mut world = with_toolsets("audit");
    world.settings.read_only = true;
    let alice = json!({"username": "alice", "password": PASSWORD}).to_string();
    let (status, _) = send(&world, "/api/register", &[], &alice);
    assert_eq!(status, 200);
    let (_, summary) = send(&world, "/api/get_capabilities", &[], "{}");
    assert_eq!(summary["operations"].as_array().unwrap().len(), TABLE.len());
}
