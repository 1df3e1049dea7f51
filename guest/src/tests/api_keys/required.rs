//! Requests over HTTP where an API key is required, and the header fields that show one.

use serde_json::{Value, json};

use super::{create, operator, user};
use crate::domain::access::toolset::Offer;
use crate::testing::World;

/// Returns a world that requires an API key of every caller, the secret of a valid key,
/// and the response that created the key.
fn closed_world() -> (World, String, Value) {
    let mut world = World::new();
    let account = operator(
        &world,
        "create_service_account",
        json!({"username": "robot"}),
    );
    let input = json!({"name": "robot", "user_id": account["user_id"]});
    let key = operator(&world, "create_api_key", input);
    world.settings.require_api_key = true;
    let secret = key["api_key"].as_str().unwrap().to_owned();
    (world, secret, key)
}

#[test]
fn requests_without_a_required_key_are_refused() {
    let (world, key, _) = closed_world();
    for message in [
        json!({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {}}),
        json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!([{"jsonrpc": "2.0", "id": 7, "method": "ping"}]),
        json!("nonsense"),
    ] {
        let wrong = format!("{}x", &key[..key.len() - 1]);
        for headers in [
            &[][..],
            &[("x-api-key", "")],
            &[("x-api-key", "uak_x")],
            &[("x-api-key", &*wrong)],
            &[("authorization", &*format!("Bearer {wrong}"))],
        ] {
            let (status, answer) = world.post(headers, &message.to_string());
            assert_eq!(status, 401, "{message} {headers:?}");
            assert_eq!(answer["error"]["code"], -32001);
            assert_eq!(answer["error"]["message"], "A valid API key is required");
            let id = message.get("id").cloned().unwrap_or_default();
            assert_eq!(answer["id"], id);
        }
    }
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let bearer = format!("Bearer {key}");
    let by_bearer = ("authorization", &*bearer);
    for headers in [
        &[("x-api-key", &*key)][..],
        &[by_bearer],
        &[("x-api-key", &*key), by_bearer],
    ] {
        let (status, answer) = world.post(headers, &ping);
        assert_eq!((status, &answer["result"]), (200, &json!({})));
    }
}

#[test]
fn two_different_keys_in_one_request_are_refused() {
    let (mut world, key, _) = closed_world();
    for required in [true, false] {
        world.settings.require_api_key = required;
        let headers = [
            ("x-api-key", &*key),
            ("authorization", "Bearer uak_another"),
        ];
        let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
        let (status, answer) = world.post(&headers, &ping);
        assert_eq!((status, &answer["id"]), (400, &json!(7)), "{answer}");
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let status = world.forward(headers.into());
        assert_eq!(status, 400);
    }
}

#[test]
fn authorization_headers_other_than_bearer_are_refused_even_with_a_valid_key() {
    let (mut world, key, _) = closed_world();
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for required in [true, false] {
        world.settings.require_api_key = required;
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer\tx",
            "Basic eDp5",
            "Token x",
            "x",
            "Bearer,x",
            "Bearer\u{a0}x",
        ] {
            let headers = [("x-api-key", &*key), ("authorization", value)];
            let (status, answer) = world.post(&headers, &ping);
            assert_eq!((status, &answer["id"]), (401, &json!(7)), "{value:?}");
            assert_eq!(answer["error"]["code"], -32001, "{answer}");
            let headers = headers.map(|(name, value)| header(name, value)).into();
            let status = world.forward(headers);
            assert_eq!(status, 401, "{value:?}");
        }
        for name in ["x-api-key", "authorization"] {
            let twice = [("x-api-key", &*key), (name, &*key), (name, &*key)];
            assert_eq!(world.post(&twice, &ping).0, 400, "{name}");
            let twice = twice.map(|(name, value)| header(name, value)).into();
            let status = world.forward(twice);
            assert_eq!(status, 400, "{name}");
        }
    }
}

#[test]
fn api_keys_are_accepted_as_bearer_and_access_tokens_are_refused_in_x_api_key() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "user-auth_list_roles", "arguments": {}}})
    .to_string();
    let bearer = format!("bearer  {}", key["api_key"].as_str().unwrap());
    let (_, answer) = world.post(&[("authorization", &bearer)], &body);
    assert!(answer["result"]["structuredContent"]["roles"].is_array());
    let bearer = format!("{bearer}A");
    let (_, answer) = world.post(&[("authorization", &bearer)], &body);
    assert_eq!(answer["error"]["message"], "The API key is not valid");
    let token = alice["access_token"].as_str().unwrap();
    let (_, answer) = world.post(&[("x-api-key", token)], &body);
    assert_eq!(answer["error"]["message"], "The API key is not valid");
}

#[test]
fn keys_that_are_revoked_or_whose_account_is_disabled_or_deleted_are_refused() {
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}).to_string();
    let ends: [fn(&World, &Value); 3] = [
        |world, key| {
            operator(world, "revoke_api_key", json!({"key_id": key["key_id"]}));
        },
        |world, _| {
            operator(world, "disable_user", json!({"username": "robot"}));
        },
        |world, _| {
            operator(world, "delete_user", json!({"username": "robot"}));
        },
    ];
    for end in ends {
        let (world, secret, key) = closed_world();
        assert_eq!(world.post(&[("x-api-key", &secret)], &ping).0, 200);
        end(&world, &key);
        assert_eq!(world.post(&[("x-api-key", &secret)], &ping).0, 401);
    }
}

#[test]
fn with_a_key_and_a_token_the_call_acts_for_the_owner_of_the_token() {
    let (mut world, key, _) = closed_world();
    world.settings.require_api_key = false;
    let alice = user(&world, "alice", &[]);
    world.settings.require_api_key = true;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "user-auth_list_sessions", "arguments": {}}})
    .to_string();
    let bearer = format!("Bearer {}", alice["access_token"].as_str().unwrap());
    let both = [("x-api-key", &*key), ("authorization", &*bearer)];
    let (status, answer) = world.post(&both, &body);
    assert_eq!(status, 200);
    let sessions = &answer["result"]["structuredContent"]["sessions"];
    assert_eq!(sessions[0]["session_id"], alice["session_id"]);
    let (status, answer) = world.post(&both[..1], &body);
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32001)));
    assert_eq!(world.post(&both[1..], &body).0, 401);
}

#[test]
fn the_local_operator_needs_no_key() {
    let (world, ..) = closed_world();
    let request = crate::mcp::Request {
        transport: crate::mcp::Transport::Stdio,
        headers: Vec::new(),
        peer: None,
        body: br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec(),
    };
    let response = crate::mcp::handle(&request, Offer::EVERYTHING, &world.settings, world.ports());
    assert_eq!(response.status, 200);
}
