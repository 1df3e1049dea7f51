//! `/mcp` and `/api` where a sign-in is required.

use serde_json::{Value, json};

use super::{Browser, ISSUER, PASSWORD, guarded, operator, text};

fn list_tools() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).to_string()
}

fn call_tool(operation: &str) -> String {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": {}});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

#[test]
fn messages_without_a_valid_credential_are_told_where_to_get_one() {
    let scene = guarded();
    let tokens = scene.tokens();
    let of_files = format!("Bearer {}", text(&tokens["access_token"]));
    let (required, token, key) = (
        "An access token is required",
        "The access token is not valid",
        "The API key is not valid",
    );
    for (headers, is_shown, message) in [
        (&[][..], false, required),
        (&[("authorization", "Bearer x")], true, token),
        (&[("authorization", &*of_files)], true, token),
        (&[("x-api-key", "uak_x")], true, key),
    ] {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let response = scene.send("POST", "/mcp", &headers, &list_tools());
        assert_eq!(response.status, 401, "{headers:?}");
        let challenge = response
            .headers
            .iter()
            .find(|(name, _)| name == "www-authenticate");
        let challenge = &challenge.unwrap().1;
        let url = "https://auth.example/.well-known/oauth-protected-resource/mcp";
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert!(
            challenge.contains(&format!("resource_metadata=\"{url}\"")),
            "{challenge}"
        );
        assert_eq!(
            challenge.contains("error=\"invalid_token\""),
            is_shown,
            "{challenge}"
        );
        let answer: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        assert_eq!(answer["error"]["message"], message, "{headers:?}");
    }
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        let response = scene.send("GET", path, &[], "");
        let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        assert_eq!(document["resource"], "https://auth.example/mcp");
        assert_eq!(document["authorization_servers"], json!([ISSUER]));
    }
}

#[test]
fn a_client_may_do_here_what_both_its_scopes_and_its_user_may() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let own = "https://auth.example/mcp";
    let query = scene.query(&[
        ("resource", own),
        ("scope", "user-auth:users:read user-auth:roles:read"),
    ]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert!(page.body.contains("Read all accounts") && !page.body.contains("Rotate"));
    let page = browser.decide(&page, "allow", &["user-auth:users:read"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (status, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(
        (status, &tokens["scope"]),
        (200, &json!("user-auth:users:read"))
    );
    let bearer = format!("Bearer {}", text(&tokens["access_token"]));
    let headers = [
        ("content-type", "application/json"),
        ("mcp-protocol-version", "2025-06-18"),
        ("authorization", &*bearer),
    ];
    let call = |operation: &str| {
        let response = scene.send("POST", "/mcp", &headers, &call_tool(operation));
        assert_eq!(response.status, 200);
        let body: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
        body["result"]["structuredContent"]["error"]["code"].clone()
    };
    assert_eq!(call("list_users"), Value::Null);
    let response = scene.send("POST", "/mcp", &headers, &list_tools());
    let list = String::from_utf8(response.body.unwrap()).unwrap();
    for (tool, is_listed) in [
        ("list_users", true),
        ("list_grants", true),
        ("verify_token", true),
        ("list_roles", false),
        ("list_sessions", false),
        ("create_api_key", false),
        ("query_audit", false),
    ] {
        let name = format!("\"user-auth_{tool}\"");
        assert_eq!(list.contains(&name), is_listed, "{tool}");
    }
    // What was not ticked can be asked for again (RFC 6750 section 3.1).
    for target in ["/mcp", "/api/list_roles"] {
        let body = match target {
            "/mcp" => call_tool("list_roles"),
            _ => "{}".to_owned(),
        };
        let response = scene.send("POST", target, &headers, &body);
        assert_eq!(response.status, 403, "{target}");
        let mut fields = response.headers.iter();
        let challenge = fields.find(|(name, _)| name == "www-authenticate").unwrap();
        assert_eq!(
            challenge.1,
            "Bearer realm=\"user-auth\", error=\"insufficient_scope\", \
             scope=\"user-auth:users:read user-auth:roles:read\", \
             resource_metadata=\"https://auth.example/.well-known/oauth-protected-resource/mcp\""
        );
        let body = String::from_utf8(response.body.unwrap()).unwrap();
        assert!(body.contains("-32002"), "{body}");
        assert!(body.contains("the scope of the access token does not include it"));
    }
    for operation in ["get_session", "list_sessions", "create_recovery_codes"] {
        assert_eq!(
            call(operation),
            -32001,
            "{operation}: it is no login of hers"
        );
    }
    let role = json!({"username": "alice", "role": "admin"});
    operator(&scene.world, "revoke_role", role);
    assert_eq!(call("list_users"), -32002, "her role is gone");
    operator(
        &scene.world,
        "revoke_user_sessions",
        json!({"username": "alice"}),
    );
    let response = scene.send("POST", "/mcp", &headers, &call_tool("list_users"));
    assert_eq!(response.status, 401);
}

/// A client that could make keys would keep its access after it was taken away.
#[test]
fn a_client_makes_no_api_keys() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let own = "https://auth.example/mcp";
    let scope = "user-auth:api-keys:write";
    let query = scene.query(&[("resource", own), ("scope", scope)]);
    let page = browser.get(&format!("/authorize?{query}"));
    let page = browser.decide(&page, "allow", &[scope]);
    let code = page.answer().first("code").unwrap().to_owned();
    let (_, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(tokens["scope"], scope);
    let bearer = format!("Bearer {}", text(&tokens["access_token"]));
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let input = json!({"name": "keeps"}).to_string();
    let response = scene.send("POST", "/api/create_api_key", &headers, &input);
    assert_eq!(response.status, 401);
}

/// A50.
#[test]
fn a_client_that_names_no_scopes_gets_none_that_are_restricted() {
    let scene = guarded();
    let browser = Browser::signed_in(&scene);
    let query = scene.query(&[("resource", "https://auth.example/mcp")]);
    let page = browser.get(&format!("/authorize?{query}"));
    assert!(!page.body.contains("type=\"checkbox\""), "{}", page.body);
    let page = browser.decide(&page, "allow", &["user-auth:users:write"]);
    let code = page.answer().first("code").unwrap().to_owned();
    let own = "https://auth.example/mcp";
    let (_, tokens) = scene.exchange(&code, &[("resource", own)]);
    assert_eq!(tokens["scope"], "");
}

/// Clients ask for all scopes that they are told of, whatever they want to use.
#[test]
fn documents_name_no_scopes() {
    let scene = guarded();
    let document = |path: &str| {
        let response = scene.send("GET", path, &[], "");
        assert_eq!(response.status, 200, "{path}");
        serde_json::from_slice::<Value>(&response.body.unwrap()).unwrap()
    };
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        assert_eq!(document(path).get("scopes_supported"), None, "{path}");
    }
}

#[test]
fn an_api_key_is_as_good_as_a_token_where_sign_in_is_required() {
    let scene = guarded();
    let account = json!({"username": "robot"});
    let robot = operator(&scene.world, "create_service_account", account);
    let key = json!({"name": "ci", "user_id": robot["user_id"]});
    let key = text(&operator(&scene.world, "create_api_key", key)["api_key"]);
    let bearer = format!("Bearer {key}");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let session = scene.world.run("login", credentials).unwrap();
    let session = format!("Bearer {}", text(&session["access_token"]));
    for header in [
        ("x-api-key", key.as_str()),
        ("authorization", bearer.as_str()),
        ("authorization", session.as_str()),
    ] {
        let headers = [("content-type", "application/json"), header];
        let response = scene.send("POST", "/mcp", &headers, &list_tools());
        assert_eq!(response.status, 200, "{header:?}");
    }
}
