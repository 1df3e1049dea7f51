//! Operations by `/api`: the same domain as by MCP, and no way around its guards.

use serde_json::{Value, json};
use user_auth_tests::{Answer, Options, PASSWORD, Server};

use super::rates::assert_limited_at;
use super::{Guarded, burst, keys_only, secret};
use crate::http::assert_error_object;

fn call(server: &Server, headers: &[(&str, &str)], operation: &str, input: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    let headers = [&json, headers].concat();
    server.post_to(&format!("/api/{operation}"), &headers, input.to_string())
}

#[test]
fn a_session_begins_is_verified_and_ends_without_mcp() {
    let server = Server::start();
    let call = |headers: &[(&str, &str)], operation: &str, input: Value| {
        call(&server, headers, operation, &input)
    };
    let account = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(call(&[], "register", account.clone()).status, 200);
    let tokens = call(&[], "login", account).json();
    let token = tokens["access_token"].as_str().unwrap();
    let verified = call(&[], "verify_token", json!({"token": token}));
    assert_eq!(verified.json()["active"], true, "{}", verified.text);
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    assert_eq!(call(&bearer, "list_sessions", json!({})).status, 200);
    assert_eq!(call(&bearer, "logout", json!({})).status, 200);
    let verified = call(&[], "verify_token", json!({"token": token}));
    assert_eq!(verified.json(), json!({"active": false}));
}

#[test]
fn an_error_has_the_status_of_its_kind_and_the_object_of_mcp() {
    let server = Server::start();
    for (operation, input, status, code) in [
        ("login", json!({"username": "alice"}), 400, -32000),
        (
            "login",
            json!({"username": "alice", "password": "some wrong password"}),
            401,
            -32001,
        ),
        ("list_roles", json!({}), 401, -32001),
    ] {
        let answer = call(&server, &[], operation, &input);
        assert_eq!(answer.status, status, "{operation}: {}", answer.text);
        assert_error_object(&answer.json()["error"], code, operation);
    }
    let asked = call(
        &server,
        &[],
        "verify_token?audience=billing",
        &json!({"token": "x"}),
    );
    assert_eq!(asked.status, 400, "{}", asked.text);
    assert_eq!(asked.json()["error"]["code"], -32600);
}

#[test]
fn attack_51_the_operations_by_api_have_the_guards_of_mcp() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(4);
    security["rate_limiting"]["verification"] = burst(6);
    let guarded = Guarded::start(security);
    let server = &guarded.server;
    let token = json!({"token": "x"});
    // The program's only ordinary request: it makes the key known.
    let key = guarded.program("service", &[]);
    let key = [("x-api-key", secret(&key))];
    assert_eq!(call(server, &key, "verify_token", &token).status, 200);
    for made_up in ["", "uak_1"] {
        let refused = call(server, &[("x-api-key", made_up)], "verify_token", &token);
        assert_eq!(refused.status, 401, "{}", refused.text);
    }
    // No rate of its own is in it for those who name a verification.
    assert_eq!(call(server, &[], "login", &json!({})).status, 401);
    for operation in ["verify_token", "login"] {
        assert_limited_at(&call(server, &[], operation, &token), operation);
    }
    assert_limited_at(&call(server, &[], "no_such_thing", &token), "mcp");
    let credentials = json!({"username": "nobody", "password": PASSWORD});
    for _ in 0..4 {
        assert_eq!(call(server, &key, "login", &credentials).status, 401);
    }
    assert_limited_at(&call(server, &key, "login", &credentials), "login");
    for _ in 0..6 {
        assert_eq!(call(server, &key, "verify_token", &token).status, 200);
    }
    assert_limited_at(&call(server, &key, "verify_token", &token), "verify_token");

    let server = Options::new().start();
    for (header, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let answer = call(&server, &[(header, value)], "verify_token", &token);
        assert_eq!(answer.status, 403, "{header}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn attack_55_a_forged_host_is_in_no_answer_and_no_page_may_send_credentials() {
    let server = Server::start();
    for path in [
        "/openapi.json",
        "/jwks",
        "/mcp/server-card",
        "/mcp",
        "/verify",
        "/introspect",
        "/revoke",
        "/api/login",
        "/api/no_such_thing",
        "/nowhere",
    ] {
        for forged in [
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
            ("host", "evil.example"),
        ] {
            let answer = server.get(path, &[forged]);
            // A refusal names the host that may not be named.
            let is_refused = answer.status == 403;
            let names_it = answer.text.contains("evil.example");
            assert!(
                is_refused || !names_it,
                "{path} {forged:?}: {}",
                answer.text
            );
        }
        let page = server.get(path, &[("origin", "https://evil.example")]);
        assert_eq!(page.header("access-control-allow-credentials"), None);
        let is_public = ["/openapi.json", "/jwks"].contains(&path);
        let readable = is_public.then_some("*");
        assert_eq!(
            page.header("access-control-allow-origin"),
            readable,
            "{path}"
        );
    }
}

#[test]
fn addresses_in_answers_are_those_of_the_public_url() {
    let public = "https://auth.example.com/team";
    let server = Options::new().env("USER_AUTH_PUBLIC_URL", public).start();
    // The server has another address, by which its clients reach it here.
    let card = server.get("/mcp/server-card", &[]).json();
    assert_eq!(card["remotes"][0]["url"], format!("{public}/mcp"));
    let api = server.get("/openapi.json", &[]).json();
    assert_eq!(api["servers"], json!([{"url": public}]));
}
