//! Clients, as administrators register, change and delete them.

use std::cell::Cell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::authority::Busy;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::clients::client::{Client, MAX_PRE_REGISTERED};
use crate::domain::clients::client_id::ClientId;
use crate::storage::record;
use crate::testing::{self, World};
use crate::types::secret::Secret;

const CALLBACK: &str = "https://app.example.com/callback";

fn operator(world: &World, operation: &str, input: Value) -> Result<Value, i32> {
    world.run_as(Principal::Operator, operation, input)
}

/// Registers a client that authenticates in this way.
fn create(world: &World, method: &str) -> Value {
    let input = json!({
        "client_name": "An app",
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": method,
    });
    operator(world, "create_client", input).unwrap()
}

fn list(world: &World) -> Vec<Value> {
    let page = operator(world, "list_clients", json!({})).unwrap();
    page["clients"].as_array().unwrap().clone()
}

/// Reports whether this is the secret of the client.
fn has_secret(world: &World, client: &Value, secret: &Value) -> bool {
    let client_id: ClientId = serde_json::from_value(client["client_id"].clone()).unwrap();
    let ports = world.ports();
    let stored = record::read::<Client>(Client::key(&client_id), &ports).unwrap();
    let secret = secret.as_str().unwrap();
    stored.unwrap().value.has_secret(secret, &ports).unwrap()
}

/// Runs an operation while another one is committed right before its first commit.
pub(super) fn overtaken(
    world: &World,
    operation: &str,
    input: Value,
    by: impl Fn() -> Result<Value, i32>,
) -> Result<Value, i32> {
    let happened = Cell::new(false);
    let happens = || {
        if !happened.replace(true) {
            by().unwrap();
        }
    };
    let store = Busy {
        world,
        happens: &happens,
    };
    let caller = Caller {
        principal: Principal::Operator,
        source: Source::from_peer(None),
    };
    let answer = testing::invoke(operation, input, &world.call_over(&caller, &store));
    assert!(happened.get(), "{operation} commits");
    answer.map_err(|error| error.kind.code())
}

#[test]
fn a_client_is_public_and_unlimited_unless_it_is_asked_for_otherwise() {
    let world = World::new();
    let input = json!({"client_name": "An app", "redirect_uris": [CALLBACK]});
    let client = operator(&world, "create_client", input).unwrap();
    assert_eq!(client["client_secret"], Value::Null);
    assert_eq!(client["token_endpoint_auth_method"], "none");
    assert_eq!(client["scopes"], json!(["*"]));
    let mut listed = client.clone();
    listed.as_object_mut().unwrap().remove("client_secret");
    listed["registration"] = json!("pre_registered");
    assert_eq!(list(&world), [listed]);
}

#[test]
fn the_secret_of_a_client_is_returned_once_and_stored_as_a_hash() {
    let world = World::new();
    for method in ["client_secret_basic", "client_secret_post"] {
        let client = create(&world, method);
        let secret = client["client_secret"].as_str().unwrap();
        assert!(secret.starts_with("uas_") && secret.len() == 47, "{secret}");
        assert!(has_secret(&world, &client, &client["client_secret"]));
        let of_client = |it: &Value| it["client_id"] == client["client_id"];
        let listed = list(&world).into_iter().find(of_client).unwrap();
        assert_eq!(listed["token_endpoint_auth_method"], method);
        assert_eq!(listed["client_secret"], Value::Null);
        assert!(!world.dump("").contains(&secret["uas_".len()..]));
        let audited = json!(*world.audited.borrow()).to_string();
        assert!(!audited.contains(&secret["uas_".len()..]));
    }
}

#[test]
fn invalid_clients_are_rejected_with_the_field() {
    let world = World::new();
    let eleven: Vec<String> = (0..11).map(|n| format!("{CALLBACK}/{n}")).collect();
    for (field, value, path) in [
        ("client_name", json!(""), "$.client_name"),
        ("client_name", json!("a".repeat(101)), "$.client_name"),
        ("client_name", json!("An \u{202e}app"), "$.client_name"),
        ("redirect_uris", json!([]), "$.redirect_uris"),
        ("redirect_uris", json!(eleven), "$.redirect_uris"),
        (
            "redirect_uris",
            json!([CALLBACK, "http://app.example.com/"]),
            "$.redirect_uris[1]",
        ),
        (
            "token_endpoint_auth_method",
            json!("client_secret_jwt"),
            "$.token_endpoint_auth_method",
        ),
        ("scopes", json!(["Billing"]), "$.scopes[0]"),
        ("client_secret", json!("chosen"), "$.client_secret"),
    ] {
        let mut input = json!({"client_name": "An app", "redirect_uris": [CALLBACK]});
        input[field] = value;
        let caller = Caller {
            principal: Principal::Operator,
            source: Source::from_peer(None),
        };
        let call = world.call_over(&caller, &world);
        let error = testing::invoke("create_client", input.clone(), &call).unwrap_err();
        assert_eq!(error.kind.code(), -32000, "{input}");
        let error = error.to_object(call.now()).to_string();
        assert!(error.contains(&format!("\"{path}\"")), "{input}: {error}");
    }
    assert_eq!(world.dump("client"), "");
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let world = World::new();
    let created = create(&world, "client_secret_basic");
    let id = &created["client_id"];
    for (field, value) in [
        ("client_name", json!("Another app")),
        ("redirect_uris", json!(["com.example.app:/", CALLBACK])),
        ("scopes", json!(["billing:*"])),
    ] {
        let before = list(&world).remove(0);
        let mut expected = before.clone();
        expected[field] = value.clone();
        let input = json!({"client_id": id, field: value});
        world.audited.take();
        let updated = operator(&world, "update_client", input.clone()).unwrap();
        assert_eq!(updated, expected);
        assert_eq!(list(&world), [expected.clone()]);
        let audited = world.audited.take();
        assert_eq!(audited.len(), 1);
        assert_eq!(audited[0]["operation"], "update_client");
        assert_eq!(audited[0]["details"][field], value);
        // The same again changes nothing.
        assert_eq!(operator(&world, "update_client", input), Ok(expected));
        assert_eq!(world.audited.take(), Vec::<Value>::new());
    }
    assert!(has_secret(&world, &created, &created["client_secret"]));
    for fixed in ["token_endpoint_auth_method", "created_at"] {
        let input = json!({"client_id": id, fixed: "none"});
        assert_eq!(operator(&world, "update_client", input), Err(-32000));
    }
}

#[test]
fn a_rotated_secret_ends_at_once() {
    let world = World::new();
    let created = create(&world, "client_secret_post");
    let input = json!({"client_id": created["client_id"]});
    let rotated = operator(&world, "rotate_client_secret", input).unwrap();
    assert_eq!(rotated["client_id"], created["client_id"]);
    assert!(has_secret(&world, &created, &rotated["client_secret"]));
    assert!(!has_secret(&world, &created, &created["client_secret"]));
    let public = create(&world, "none");
    let input = json!({"client_id": public["client_id"]});
    let answer = operator(&world, "rotate_client_secret", input);
    assert_eq!(answer, Err(-32000));
}

#[test]
fn nothing_is_left_of_a_deleted_client() {
    let world = World::new();
    let client = create(&world, "client_secret_basic");
    let input = json!({"client_id": client["client_id"]});
    operator(&world, "delete_client", input.clone()).unwrap();
    assert_eq!(world.dump("client"), "");
    assert_eq!(list(&world), Vec::<Value>::new());
    for operation in ["update_client", "rotate_client_secret", "delete_client"] {
        let answer = operator(&world, operation, input.clone());
        assert_eq!(answer, Err(-32000), "{operation}");
    }
}

#[test]
fn clients_are_listed_page_by_page_and_each_once() {
    let world = World::new();
    let created: BTreeSet<String> = (0..101)
        .map(|_| create(&world, "none")["client_id"].to_string())
        .collect();
    let mut listed = Vec::new();
    let mut sizes = Vec::new();
    let mut after = Value::Null;
    while sizes.len() < 4 {
        let page = operator(&world, "list_clients", json!({"after": after})).unwrap();
        let clients = page["clients"].as_array().unwrap();
        sizes.push(clients.len());
        listed.extend(clients.iter().map(|it| it["client_id"].to_string()));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 1]);
    assert!(listed.is_sorted());
    assert_eq!(BTreeSet::from_iter(listed), created);
}

/// Leaves this number of places for clients.
fn leave_places(world: &World, places: u32) {
    for number in 0..MAX_PRE_REGISTERED - places {
        let key = format!("{}other-{number}", Client::PRE_REGISTERED);
        world.tamper(&key, Some(b"{}".to_vec()));
    }
}

#[test]
fn the_number_of_clients_is_limited() {
    let world = World::new();
    leave_places(&world, 1);
    let last = create(&world, "none");
    let input = json!({"client_name": "An app", "redirect_uris": [CALLBACK]});
    let again = || operator(&world, "create_client", input.clone());
    assert_eq!(again(), Err(-32000));
    let id = json!({"client_id": last["client_id"]});
    operator(&world, "delete_client", id).unwrap();
    assert!(again().is_ok());
}

#[test]
fn of_two_registrations_for_the_last_place_one_is_refused() {
    let world = World::new();
    leave_places(&world, 1);
    let input = json!({"client_name": "An app", "redirect_uris": [CALLBACK]});
    let other = || operator(&world, "create_client", input.clone());
    let answer = overtaken(&world, "create_client", input.clone(), other);
    assert_eq!(answer, Err(-32000));
    assert_eq!(list(&world).len(), 1);
}

#[test]
fn a_change_that_a_deletion_overtakes_brings_nothing_back() {
    for (operation, change) in [
        ("update_client", json!({"client_name": "Another app"})),
        ("rotate_client_secret", json!({})),
        ("delete_client", json!({})),
    ] {
        let world = World::new();
        let client = create(&world, "client_secret_basic");
        let id = json!({"client_id": client["client_id"]});
        let mut input = change;
        input["client_id"] = client["client_id"].clone();
        let deleted = || operator(&world, "delete_client", id.clone());
        let answer = overtaken(&world, operation, input, deleted);
        assert_eq!(answer, Err(-32000), "{operation}");
        assert_eq!(world.dump("client"), "", "{operation}");
    }
}

#[test]
fn of_two_rotations_only_the_later_secret_is_accepted() {
    let world = World::new();
    let client = create(&world, "client_secret_basic");
    let input = json!({"client_id": client["client_id"]});
    let first = Cell::new(Value::Null);
    let other = || {
        let rotated = operator(&world, "rotate_client_secret", input.clone())?;
        first.set(rotated["client_secret"].clone());
        Ok(rotated)
    };
    let answer = overtaken(&world, "rotate_client_secret", input.clone(), other);
    assert!(has_secret(
        &world,
        &client,
        &answer.unwrap()["client_secret"]
    ));
    assert!(!has_secret(&world, &client, &first.take()));
}

#[test]
fn updates_at_the_same_time_are_both_kept() {
    let world = World::new();
    let client = create(&world, "none");
    let id = &client["client_id"];
    let other = || {
        let input = json!({"client_id": id, "scopes": ["billing:read"]});
        operator(&world, "update_client", input)
    };
    let input = json!({"client_id": id, "client_name": "Another app"});
    let answer = overtaken(&world, "update_client", input, other).unwrap();
    assert_eq!(answer["scopes"], json!(["billing:read"]));
    assert_eq!(answer["client_name"], "Another app");
}

#[test]
fn changes_of_clients_require_the_permission_to_write_clients() {
    let world = World::new();
    let client = create(&world, "client_secret_basic");
    let input = json!({"client_id": client["client_id"]});
    let all_but_writing = [
        "user-auth:clients:read",
        "user-auth:resources:*",
        "user-auth:roles:*",
        "user-auth:users:*",
        "user-auth:api-keys:*",
    ];
    let reader = user(&world, "reader", &all_but_writing);
    let writer = user(&world, "writer", &["user-auth:clients:write"]);
    for operation in ["update_client", "rotate_client_secret", "delete_client"] {
        let by = |principal| world.run_as(principal, operation, input.clone());
        assert_eq!(by(Principal::Anonymous), Err(-32001), "{operation}");
        assert_eq!(by(reader.clone()), Err(-32002), "{operation}");
        assert!(by(writer.clone()).is_ok(), "{operation}");
    }
    let listed = world.run_as(reader, "list_clients", json!({}));
    assert!(listed.is_ok());
    let listed = world.run_as(writer, "list_clients", json!({}));
    assert_eq!(listed, Err(-32002));
}

/// Registers a user with these permissions, and logs the user in.
fn user(world: &World, username: &str, permissions: &[&str]) -> Principal {
    let credentials = json!({"username": username, "password": "correct horse battery staple"});
    world.run("register", credentials.clone()).unwrap();
    let role = json!({"role": username, "permissions": permissions});
    operator(world, "define_role", role).unwrap();
    let role = json!({"username": username, "role": username});
    operator(world, "assign_role", role).unwrap();
    let tokens = world.run("login", credentials).unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    Principal::AccessToken(Secret::new(token.to_owned()))
}
