//! Attacks on the deletion of accounts and on administration without the permission.

use std::path::Path;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

/// Makes a user the first administrator, from the shell beside the running server, as the
/// README documents it.
pub(super) fn make_admin(home: &Path, username: &str) {
    let username = format!("username={username}");
    let output = command(home)
        .args(["call", "assign_role", &username, "role=admin"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(super) fn as_bearer(
    server: &Server,
    tokens: &Value,
    operation: &str,
    arguments: Value,
) -> Value {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    with_header(server, ("authorization", &bearer), operation, arguments)
}

fn with_header(server: &Server, header: (&str, &str), operation: &str, arguments: Value) -> Value {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    server.post(&[header], body.to_string()).json()
}

fn is_active(server: &Server, tokens: &Value) -> bool {
    let answer = server.call("verify_token", json!({"token": tokens["access_token"]}));
    answer.unwrap()["active"] == true
}

#[test]
fn attack_31_sessions_and_api_keys_end_when_the_account_is_disabled_or_deleted() {
    for end in ["disable_user", "delete_user", "force_password_reset"] {
        let home = folder();
        let server = Options::new().home(home.path()).start();
        let admin = server.new_session("admin");
        let victim = server.new_session("victim");
        make_admin(home.path(), "admin");
        make_admin(home.path(), "victim");
        let input = json!({"name": "k", "scopes": ["*"]});
        let key = as_bearer(&server, &victim, "create_api_key", input);
        let key = key["result"]["structuredContent"]["api_key"]
            .as_str()
            .unwrap()
            .to_owned();
        let by_key = || with_header(&server, ("x-api-key", &key), "list_users", json!({}));
        assert!(by_key()["result"].is_object(), "the key was good");

        let ended = as_bearer(&server, &admin, end, json!({"username": "victim"}));
        assert!(ended["result"].is_object(), "{end}: {ended}");
        assert!(!is_active(&server, &victim), "{end}");
        let refresh = json!({"refresh_token": victim["refresh_token"]});
        let refreshed = server.call("refresh_token", refresh).unwrap_err();
        assert_eq!(refreshed["code"], -32001, "{end}");
        assert_eq!(by_key()["error"]["code"], -32001, "{end}");
        let credentials = json!({"username": "victim", "password": PASSWORD});
        let login = server.call("login", credentials).unwrap_err();
        let unknown = json!({"username": "unknown", "password": PASSWORD});
        let unknown = server.call("login", unknown).unwrap_err();
        assert_eq!(login["message"], unknown["message"], "{end}");
        assert!(is_active(&server, &admin));

        if end == "disable_user" {
            let enabled = json!({"username": "victim"});
            let enabled = as_bearer(&server, &admin, "enable_user", enabled);
            assert!(enabled["result"].is_object(), "{enabled}");
            let credentials = json!({"username": "victim", "password": PASSWORD});
            server.call("login", credentials).unwrap();
            assert!(!is_active(&server, &victim), "what has died stays dead");
            let refresh = json!({"refresh_token": victim["refresh_token"]});
            let refreshed = server.call("refresh_token", refresh).unwrap_err();
            assert_eq!(refreshed["code"], -32001);
            assert_eq!(by_key()["error"]["code"], -32001);
        }
    }
}

#[test]
fn attack_29_administration_without_the_permission_is_refused() {
    let server = Server::start();
    let mallory = server.new_session("mallory");
    server.new_session("alice");
    for (operation, arguments) in [
        ("list_users", json!({})),
        ("get_user", json!({"username": "alice"})),
        ("disable_user", json!({"username": "alice"})),
        ("delete_user", json!({"username": "alice"})),
        ("reset_second_factor", json!({"username": "alice"})),
        (
            "assign_role",
            json!({"username": "mallory", "role": "admin"}),
        ),
        ("define_role", json!({"role": "mine", "permissions": ["*"]})),
        ("query_audit", json!({"username": "alice"})),
        ("verify_audit_chain", json!({"username": "alice"})),
        (
            "introspect_token",
            json!({"token": mallory["access_token"]}),
        ),
        ("create_service_account", json!({"username": "robot"})),
    ] {
        let refused = as_bearer(&server, &mallory, operation, arguments.clone());
        assert_eq!(refused["error"]["code"], -32002, "{operation}: {refused}");
        let anonymous = server.call(operation, arguments).unwrap_err();
        assert_eq!(anonymous["code"], -32001, "{operation}: {anonymous}");
    }
}

/// CVE-2025-61928: an API key was created for the user id in the request body.
#[test]
fn attack_29_api_keys_of_more_privileged_accounts_cannot_be_created_or_changed() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let (root, helper) = (server.new_session("root"), server.new_session("helper"));
    let alice = server.new_session("alice");
    make_admin(home.path(), "root");
    for (operation, arguments) in [
        (
            "define_role",
            json!({"role": "keys", "permissions": ["user-auth:api-keys:write"]}),
        ),
        ("assign_role", json!({"username": "helper", "role": "keys"})),
    ] {
        let answer = as_bearer(&server, &root, operation, arguments);
        assert!(answer["result"].is_object(), "{answer}");
    }
    let input = json!({"name": "k", "scopes": ["*"]});
    let key = as_bearer(&server, &root, "create_api_key", input);
    let key = key["result"]["structuredContent"].clone();
    let id_of = |tokens: &Value| {
        let answer = server.call("verify_token", json!({"token": tokens["access_token"]}));
        answer.unwrap()["sub"].clone()
    };
    for (operation, arguments) in [
        (
            "create_api_key",
            json!({"name": "k", "scopes": [], "user_id": id_of(&root)}),
        ),
        ("list_api_keys", json!({"user_id": id_of(&root)})),
        ("rotate_api_key", json!({"key_id": key["key_id"]})),
        ("revoke_api_key", json!({"key_id": key["key_id"]})),
    ] {
        let refused = as_bearer(&server, &helper, operation, arguments);
        assert_eq!(refused["error"]["code"], -32002, "{operation}: {refused}");
    }
    let secret = key["api_key"].as_str().unwrap();
    let by_key = with_header(&server, ("x-api-key", secret), "list_users", json!({}));
    assert!(by_key["result"].is_object(), "the key is as it was");

    let for_alice = json!({"name": "k", "user_id": id_of(&alice)});
    let made = as_bearer(&server, &helper, "create_api_key", for_alice.clone());
    assert!(made["result"].is_object(), "{made}");
    let for_helper = json!({"name": "k", "user_id": id_of(&helper)});
    let refused = as_bearer(&server, &alice, "create_api_key", for_helper);
    assert_eq!(refused["error"]["code"], -32002, "{refused}");
}

#[test]
fn attack_29_api_keys_and_audit_records_of_other_users_are_out_of_reach() {
    let server = Server::start();
    let alice = server.new_session("alice");
    let mallory = server.new_session("mallory");
    let key = as_bearer(&server, &alice, "create_api_key", json!({"name": "k"}));
    let key = &key["result"]["structuredContent"];
    let verified = json!({"token": alice["access_token"]});
    let user_id = &server.call("verify_token", verified).unwrap()["sub"];

    for operation in ["revoke_api_key", "rotate_api_key"] {
        let refuse = |key_id: Value| {
            let input = json!({"key_id": key_id});
            let mut refused = as_bearer(&server, &mallory, operation, input)["error"].take();
            refused["data"]["timestamp"].take();
            refused
        };
        let refused = refuse(key["key_id"].clone());
        assert_eq!(refused["code"], -32000, "{operation}: {refused}");
        let absent = refuse(json!("0".repeat(32)));
        assert_eq!(refused, absent, "{operation}");
    }
    for (operation, mut input) in [
        ("create_api_key", json!({"name": "k"})),
        ("list_api_keys", json!({})),
        ("query_audit", json!({})),
        ("verify_audit_chain", json!({})),
    ] {
        input["user_id"] = user_id.clone();
        let refused = as_bearer(&server, &mallory, operation, input);
        assert_eq!(refused["error"]["code"], -32002, "{operation}: {refused}");
    }
    for operation in ["list_api_keys", "query_audit"] {
        let own = as_bearer(&server, &mallory, operation, json!({}));
        let own = own["result"]["structuredContent"].to_string();
        assert!(own.starts_with('{'), "{operation}: {own}");
        assert!(
            !own.contains(user_id.as_str().unwrap()),
            "{operation}: {own}"
        );
    }
    let header = ("x-api-key", key["api_key"].as_str().unwrap());
    let by_key = with_header(&server, header, "list_api_keys", json!({}));
    assert_eq!(by_key["error"]["code"], -32002, "the key is still good");
    let listed = as_bearer(&server, &alice, "list_api_keys", json!({}));
    let listed = &listed["result"]["structuredContent"]["api_keys"];
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
}

#[test]
fn an_untouched_audit_chain_verifies() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let admin = server.new_session("admin");
    make_admin(home.path(), "admin");
    let mut tokens = server.new_session("alice");
    for _ in 0..20 {
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        tokens = server.call("refresh_token", refresh).unwrap();
    }
    let verified = as_bearer(
        &server,
        &admin,
        "verify_audit_chain",
        json!({"username": "alice"}),
    );
    let verified = &verified["result"]["structuredContent"];
    assert_eq!(
        (&verified["intact"], &verified["examined"]),
        (&json!(true), &json!(22))
    );
}
