//! Clients that can open pages, and are told of the page for an approval.

use serde_json::{Value, json};

use super::super::{Browser, ISSUER, PASSWORD, operator, text};
use super::{Desk, delete_bob};

#[test]
fn a_client_that_can_open_pages_opens_the_one_for_the_approval() {
    let desk = Desk::new();
    let browser = Browser::signed_in(&desk.scene);
    // 2026-07-28
    let meta = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "Test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},
    }});
    let modern = |more: Value| {
        let mut params = meta.clone();
        let more = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more);
        let version = [("mcp-protocol-version", "2026-07-28")];
        let answer = desk.message(&desk.token, "delete_user", delete_bob(), &version, params);
        answer["result"].clone()
    };
    let asked = modern(json!({}));
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let question = &asked["inputRequests"]["page"]["params"];
    let target = text(&question["url"])
        .strip_prefix(ISSUER)
        .unwrap()
        .to_owned();
    let retry = |action: &str| modern(json!({"inputResponses": {"page": {"action": action}}}));
    assert_eq!(retry("decline")["isError"], true);
    // The page is open, and the user has not decided: another question would open another.
    let waiting = retry("accept");
    assert_eq!(waiting["isError"], true, "{waiting}");
    browser.approve(&target);
    let done = retry("accept");
    assert_eq!(done["isError"], false, "{done}");

    // 2025-11-25
    operator(
        &desk.scene.world,
        "register",
        json!({"username": "bob", "password": PASSWORD}),
    );
    let session = session(&desk, json!({"elicitation": {"form": {}, "url": {}}})).unwrap();
    let legacy = || {
        let session = [("mcp-session-id", session.as_str())];
        desk.message(
            &desk.token,
            "delete_user",
            delete_bob(),
            &session,
            json!({}),
        )
    };
    let asked = legacy();
    assert_eq!(asked["error"]["code"], -32042, "{asked}");
    let page = &asked["error"]["data"]["elicitations"][0];
    assert_eq!(page["mode"], "url");
    let target = text(&page["url"]).strip_prefix(ISSUER).unwrap().to_owned();
    assert!(target.ends_with(&text(&page["elicitationId"])));
    browser.approve(&target);
    assert_eq!(legacy()["result"]["isError"], false);
}

/// Begins a session with these capabilities, and returns its id.
fn session(desk: &Desk, capabilities: Value) -> Option<String> {
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "Test", "version": "1"},
    });
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let bearer = format!("Bearer {}", desk.token);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", bearer.as_str()),
    ];
    let response = desk
        .scene
        .send("POST", "/mcp", &headers, &message.to_string());
    let mut fields = response.headers.into_iter();
    let field = fields.find(|(name, _)| name == "mcp-session-id");
    field.map(|(_, id)| id)
}

#[test]
fn only_clients_that_can_open_pages_get_a_session() {
    let desk = Desk::new();
    for without in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
    ] {
        assert_eq!(session(&desk, without), None);
    }
}
