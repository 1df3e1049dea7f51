//! Tools that take a password, for clients that can show a page to their user instead.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{PASSWORD, Scene};
use crate::settings::PasswordTools;

const WITH_PASSWORDS: [&str; 5] = [
    "register",
    "login",
    "complete_login",
    "change_password",
    "confirm_password_reset",
];

/// Sends a message of 2026-07-28 by a client with these capabilities.
fn send(scene: &Scene, capabilities: &Value, method: &str, more: Value) -> Value {
    let mut params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "Test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
        ("mcp-name", name.as_str()),
    ];
    let response = scene.send("POST", "/mcp", &headers, &message.to_string());
    serde_json::from_slice(&response.body.unwrap()).unwrap()
}

fn listed(scene: &Scene, capabilities: &Value) -> BTreeSet<String> {
    let answer = send(scene, capabilities, "tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
    names
        .map(|name| name.strip_prefix("user-auth_").unwrap().to_owned())
        .collect()
}

fn log_in(scene: &Scene, capabilities: &Value, arguments: Value) -> Value {
    let name = match arguments.get("data") {
        Some(_) => "user-auth_execute_primary_operation",
        None => "user-auth_login",
    };
    let more = json!({"name": name, "arguments": arguments});
    send(scene, capabilities, "tools/call", more)
}

#[test]
fn clients_that_can_open_pages_get_no_tools_that_take_a_password() {
    let opens = json!({"elicitation": {"url": {}}});
    let others = json!({"elicitation": {"form": {}}});
    for (setting, with_pages, capabilities, expected) in [
        (PasswordTools::Auto, true, &opens, false),
        (PasswordTools::Auto, true, &others, true),
        (PasswordTools::Auto, false, &opens, true),
        (PasswordTools::On, true, &opens, true),
        (PasswordTools::Off, true, &others, false),
        (PasswordTools::Off, false, &others, false),
    ] {
        let mut scene = Scene::new();
        scene.world.settings.password_tools = setting;
        if !with_pages {
            scene.world.settings.oauth = None;
        }
        let case = format!("{setting:?} {with_pages} {capabilities}");
        let listed = listed(&scene, capabilities);
        for name in WITH_PASSWORDS {
            assert_eq!(listed.contains(name), expected, "{case} {name}");
        }
        assert!(listed.contains("verify_token"));
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let by_tool = log_in(&scene, capabilities, credentials.clone());
        assert_eq!(by_tool["result"]["isError"] == false, expected, "{case}");
        let by_name = log_in(&scene, capabilities, json!({"data": credentials}));
        assert_eq!(by_name["result"]["isError"] == false, expected, "{case}");
        let refused = by_tool["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(refused.contains("on a page only"), !expected, "{by_tool}");
    }
}

#[test]
fn the_next_step_is_then_to_sign_in_by_browser() {
    let scene = Scene::new();
    let next = |capabilities: &Value| {
        let more = json!({"name": "user-auth_get_session", "arguments": {}});
        let answer = send(&scene, capabilities, "tools/call", more);
        let error = &answer["result"]["structuredContent"]["error"];
        error["data"]["details"]["next"]["tool"].clone()
    };
    let opens = json!({"elicitation": {"url": {}}});
    assert_eq!(next(&opens), "user-auth_begin_sign_in");
    assert_eq!(next(&json!({})), "user-auth_login");
}

/// Programs that call by hand, and the examples of the guide, go on as before.
#[test]
fn services_and_programs_have_these_operations_still() {
    let mut scene = Scene::new();
    scene.world.settings.password_tools = PasswordTools::Off;
    let credentials = json!({"username": "alice", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json")];
    let response = scene.send("POST", "/api/login", &headers, &credentials);
    assert_eq!(response.status, 200);
}
