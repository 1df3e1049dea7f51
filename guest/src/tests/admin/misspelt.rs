//! Grants that begin with `user-auth:` and name no permission.

use serde_json::{Value, json};

use super::bearer;
use crate::testing::{self, World};

#[test]
fn grants_of_permissions_that_user_auth_does_not_have_are_refused_as_input() {
    let world = World::new();
    let alice = world.user("alice", &["*"]);
    let role = |grants: &[&str]| json!({"role": "clerk", "permissions": grants});
    let key = |grants: &[&str]| json!({"name": "ci", "scopes": grants});
    let client = |grants: &[&str]| {
        json!({
            "client_name": "Desk",
            "redirect_uris": ["https://desk.example/cb"],
            "scopes": grants,
        })
    };
    let created = world.run_as(bearer(&alice), "create_client", client(&[]));
    let client_id = created.unwrap()["client_id"].clone();
    let changed = |grants: &[&str]| json!({"client_id": client_id, "scopes": grants});
    type Input<'a> = &'a dyn Fn(&[&str]) -> Value;
    let inputs: [(&str, Input); 4] = [
        ("define_role", &role),
        ("create_api_key", &key),
        ("create_client", &client),
        ("update_client", &changed),
    ];
    for (operation, input) in inputs {
        let run = |input| world.run_as(bearer(&alice), operation, input);
        for misspelt in [
            "user-auth:user:read",
            "user-auth:usres:*",
            "user-auth:users",
            "user-auth:users:read:*",
        ] {
            let answer = run(input(&["billing:read", misspelt]));
            assert_eq!(answer, Err(-32000), "{operation} {misspelt}");
        }
        for good in [
            "user-auth:users:read",
            "user-auth:users:*",
            "user-auth:metrics:read",
            "user-auth:*",
            "*",
            "user:read",
            "user-authority:read",
        ] {
            let answer = run(input(&[good]));
            assert!(answer.is_ok(), "{operation} {good}: {answer:?}");
        }
    }
    let mut misspelt = role(&["*", "user-auth:user:read"]);
    misspelt["access_token"] = alice["access_token"].clone();
    let error = testing::invoke("define_role", misspelt, &world.call()).unwrap_err();
    let problem = error.details()["fields"][0].clone();
    assert_eq!(problem["path"], "$.permissions[1]");
    let problem = problem["problem"].as_str().unwrap();
    assert!(problem.contains("user-auth:users:read, "), "{problem}");
}

/// Such grants may have been stored before input with them was refused.
#[test]
fn stored_grants_of_permissions_that_user_auth_does_not_have_stay_manageable() {
    let world = World::new();
    let alice = world.user("alice", &["*"]);
    let run = |operation: &str, input| world.run_as(bearer(&alice), operation, input).unwrap();
    let grants = ["user-auth:users:read"];
    let role = json!({"role": "clerk", "permissions": grants});
    run("define_role", role.clone());
    let key = run("create_api_key", json!({"name": "ci", "scopes": grants}));
    let client = json!({
        "client_name": "Desk",
        "redirect_uris": ["https://desk.example/cb"],
        "scopes": grants,
    });
    let client = run("create_client", client);
    for (stored, bytes) in world.entries() {
        let is_meant = ["role/clerk", "api-key/", "client/"];
        if is_meant.iter().any(|prefix| stored.starts_with(prefix)) {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(grants[0], "user-auth:user:read");
            world.tamper(&stored, Some(text.into_bytes()));
        }
    }
    let misspelt = json!(["user-auth:user:read"]);
    let roles = run("list_roles", json!({}));
    let clerk = roles["roles"].as_array().unwrap().iter();
    let clerk: Vec<&Value> = clerk.filter(|it| it["role"] == "clerk").collect();
    assert_eq!(clerk[0]["permissions"], misspelt);
    let keys = run("list_api_keys", json!({}));
    assert_eq!(keys["api_keys"][0]["scopes"], misspelt);
    let clients = run("list_clients", json!({}));
    assert_eq!(clients["clients"][0]["scopes"], misspelt);
    let key_id = json!({"key_id": key["key_id"]});
    run("rotate_api_key", key_id.clone());
    run("revoke_api_key", key_id);
    let client_id = json!({"client_id": client["client_id"]});
    let mut renamed = client_id.clone();
    renamed["client_name"] = json!("Bureau");
    assert_eq!(run("update_client", renamed)["scopes"], misspelt);
    run("delete_client", client_id);
    run("assign_role", json!({"username": "alice", "role": "clerk"}));
    run("define_role", role);
    run("delete_role", json!({"role": "clerk"}));
}
