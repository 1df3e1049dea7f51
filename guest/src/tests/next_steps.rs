//! The next step that errors name, in `details.next`.

use serde_json::{Value, json};

use crate::dispatch::schemas;
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::operations;
use crate::testing::{self, World};
use crate::types::secret::Secret;

const NOBODY: &str = "00000000000000000000000000000000";

/// Returns the tool and the arguments of the next step after this call fails.
fn next(world: &World, principal: Principal, operation: &str, input: Value) -> (String, Value) {
    let caller = Caller {
        principal,
        source: Source::from_peer(None),
    };
    let call = Call {
        caller: &caller,
        ..world.call()
    };
    let error = testing::invoke(operation, input, &call).unwrap_err();
    let details = error.details();
    let Some(next) = details.get("next") else {
        return (String::new(), Value::Null);
    };
    let tool = next["tool"].as_str().unwrap();
    let name = tool.strip_prefix("user-auth_").unwrap();
    assert!(operations::find(name).is_some(), "{name}");
    let shape = schemas::shape(name);
    for (argument, _) in next["arguments"].as_object().unwrap() {
        assert!(!shape["properties"][argument].is_null(), "{next}");
    }
    (name.to_owned(), next["arguments"].clone())
}

fn token(tokens: &Value) -> Principal {
    let token = tokens["access_token"].as_str().unwrap();
    Principal::AccessToken(Secret::new(token.to_owned()))
}

#[test]
fn an_error_about_the_caller_names_the_tool_that_renews_its_session() {
    let world = World::new();
    let alice = world.alice();
    let none = || json!({});
    let invalid = || token(&json!({"access_token": "eyJ.x.y"}));
    for (principal, operation, input, expected) in [
        (invalid(), "get_session", none(), "refresh_token"),
        (invalid(), "list_users", none(), "refresh_token"),
        (Principal::Anonymous, "get_session", none(), "login"),
        (Principal::Anonymous, "list_users", none(), "login"),
        (Principal::Operator, "get_session", none(), "login"),
        (
            Principal::Anonymous,
            "refresh_token",
            json!({"refresh_token": "uar_x"}),
            "login",
        ),
        (
            Principal::Anonymous,
            "complete_login",
            json!({"challenge": "x", "code": "123456"}),
            "login",
        ),
    ] {
        let step = next(&world, principal, operation, input);
        assert_eq!(step, (expected.to_owned(), json!({})), "{operation}");
    }
    let fresh_ms = world.settings.fresh_session.as_millis() as u64;
    world.now_ms.set(world.now_ms.get() + fresh_ms + 1_000);
    let step = next(&world, token(&alice), "enroll_totp", json!({}));
    assert_eq!(step, ("login".to_owned(), json!({})));
}

#[test]
fn an_error_about_something_unknown_names_the_tool_that_lists_it() {
    let world = World::new();
    let alice = world.alice();
    let operator = || Principal::Operator;
    for (principal, operation, input, expected, arguments) in [
        (
            operator(),
            "get_user",
            json!({"username": "bob"}),
            "list_users",
            json!({"search": "bob"}),
        ),
        (
            operator(),
            "get_user",
            json!({"user_id": NOBODY}),
            "list_users",
            json!({}),
        ),
        (
            operator(),
            "assign_role",
            json!({"username": "alice", "role": "clerk"}),
            "list_roles",
            json!({}),
        ),
        (
            operator(),
            "get_capabilities",
            json!({"operation": "log_in"}),
            "get_capabilities",
            json!({}),
        ),
        (
            operator(),
            "execute_primary_operation",
            json!({"data": {"operation": "log_in"}}),
            "get_capabilities",
            json!({}),
        ),
        (
            operator(),
            "execute_primary_operation",
            json!({"data": {"operation": "get_user", "username": "bob"}}),
            "list_users",
            json!({"search": "bob"}),
        ),
        (
            token(&alice),
            "revoke_session",
            json!({"session_id": NOBODY}),
            "list_sessions",
            json!({}),
        ),
        (
            token(&alice),
            "revoke_api_key",
            json!({"key_id": NOBODY}),
            "list_api_keys",
            json!({}),
        ),
        (
            token(&alice),
            "revoke_grant",
            json!({"grant_id": NOBODY}),
            "list_grants",
            json!({}),
        ),
        (
            operator(),
            "delete_client",
            json!({"client_id": format!("client-{NOBODY}")}),
            "list_clients",
            json!({}),
        ),
        (
            operator(),
            "delete_resource",
            json!({"resource": "https://mcp.example.com"}),
            "list_resources",
            json!({}),
        ),
        (
            token(&alice),
            "confirm_totp",
            json!({"code": "123456"}),
            "enroll_totp",
            json!({}),
        ),
    ] {
        let step = next(&world, principal, operation, input);
        assert_eq!(step, (expected.to_owned(), arguments), "{operation}");
    }
}

#[test]
fn a_missing_permission_can_be_explained_to_a_user() {
    let world = World::new();
    let alice = world.alice();
    let in_field = json!({"access_token": alice["access_token"]});
    let (tool, arguments) = next(&world, Principal::Anonymous, "list_users", in_field);
    assert_eq!(tool, "explain_permissions");
    assert_eq!(arguments, json!({"permission": "user-auth:users:read"}));
    let in_header = next(&world, token(&alice), "list_users", json!({}));
    assert_eq!(in_header, (tool.clone(), arguments.clone()));
    let explained = world.run_as(token(&alice), &tool, arguments).unwrap();
    assert_eq!(explained["decision"]["allowed"], false, "{explained}");
}

#[test]
fn an_error_without_a_clear_next_step_names_none() {
    let world = World::new();
    world.alice();
    let password = "correct horse battery staple";
    for (operation, input) in [
        (
            "login",
            json!({"username": "alice", "password": "not the right one"}),
        ),
        ("login", json!({"username": "alice"})),
        (
            "register",
            json!({"username": "alice", "password": password}),
        ),
    ] {
        let step = next(&world, Principal::Anonymous, operation, input);
        assert_eq!(step, (String::new(), Value::Null), "{operation}");
    }
}
