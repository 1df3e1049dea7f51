//! Resource servers and their scopes, as administrators define and delete them.

use serde_json::{Value, json};

use super::clients::overtaken;
use crate::domain::caller::Principal;
use crate::domain::resources::resource::MAX_RESOURCES;
use crate::testing::World;

const NOTES: &str = "https://notes.example.com/mcp";

fn operator(world: &World, operation: &str, input: Value) -> Result<Value, i32> {
    world.run_as(Principal::Operator, operation, input)
}

fn define(world: &World, url: &str, name: &str) -> Result<Value, i32> {
    let input = json!({
        "resource": url,
        "resource_name": name,
        "scopes": [{"scope": "notes:read", "description": "Read your notes"}],
    });
    operator(world, "define_resource", input)
}

fn list(world: &World) -> Vec<Value> {
    let all = operator(world, "list_resources", json!({})).unwrap();
    all["resources"].as_array().unwrap().clone()
}

#[test]
fn defining_a_resource_server_again_replaces_it_under_every_spelling_of_its_url() {
    let world = World::new();
    define(&world, NOTES, "Notes").unwrap();
    let other = define(&world, "https://Notes.example.com/", "Other notes").unwrap();
    assert_eq!(other["resource"], "https://notes.example.com");
    world.pass(60);
    let input = json!({
        "resource": "HTTPS://notes.EXAMPLE.com:443/mcp/",
        "resource_name": "My notes",
        "scopes": [
            {"scope": "notes:write", "description": "Change your notes"},
            {"scope": "notes:read", "description": "Read your notes"},
        ],
    });
    let replaced = operator(&world, "define_resource", input.clone()).unwrap();
    assert_eq!(replaced["resource"], NOTES);
    assert_eq!(replaced["scopes"], input["scopes"], "in this order");
    assert_eq!(list(&world), [other, replaced]);
}

#[test]
fn a_deleted_resource_server_is_gone() {
    let world = World::new();
    define(&world, NOTES, "Notes").unwrap();
    let input = json!({"resource": format!("{NOTES}/")});
    let deleted = operator(&world, "delete_resource", input.clone()).unwrap();
    assert_eq!(deleted, json!({"resource": NOTES}));
    assert_eq!(list(&world), Vec::<Value>::new());
    assert_eq!(world.dump("resource/"), "");
    assert_eq!(operator(&world, "delete_resource", input), Err(-32000));
    define(&world, NOTES, "Notes").unwrap();
}

#[test]
fn scopes_without_words_and_scopes_of_this_service_are_rejected() {
    let world = World::new();
    for scope in [
        json!({"scope": "notes:read"}),
        json!({"scope": "notes:read", "description": ""}),
        json!({"scope": "notes:*", "description": "All"}),
        json!({"scope": "user-auth:users:write", "description": "Harmless"}),
        json!({"scope": "openid", "description": "Sign in"}),
        json!("notes:read"),
    ] {
        let input = json!({"resource": NOTES, "resource_name": "Notes", "scopes": [scope]});
        let answer = operator(&world, "define_resource", input.clone());
        assert_eq!(answer, Err(-32000), "{input}");
    }
    assert_eq!(list(&world), Vec::<Value>::new());
}

#[test]
fn the_number_of_resource_servers_is_limited() {
    let world = World::new();
    let url = |number: u32| format!("https://{number:03}.example.com");
    for number in 0..MAX_RESOURCES {
        define(&world, &url(number), "One of many").unwrap();
    }
    let one_more = || define(&world, NOTES, "Notes");
    assert_eq!(one_more(), Err(-32000));
    define(&world, &url(7), "Another name").unwrap();
    let listed = list(&world);
    assert_eq!(listed.len(), MAX_RESOURCES as usize);
    assert_eq!(listed[7]["resource_name"], "Another name");
    operator(&world, "delete_resource", json!({"resource": url(7)})).unwrap();
    one_more().unwrap();
}

#[test]
fn resource_servers_at_their_longest_fit_into_one_scan_and_are_all_listed() {
    // The limit of a result (`wit/store.wit`).
    const MAX_RESULT_BYTES: usize = 4 << 20;
    let world = World::new();
    let text = "\u{1f4c4}".repeat(100);
    let scopes: Vec<Value> = (0..50)
        .map(|number| json!({"scope": format!("{number:0>128}"), "description": text}))
        .collect();
    for number in 0..MAX_RESOURCES {
        let url = format!("https://h{number:0>247}");
        let input = json!({"resource": url, "resource_name": text, "scopes": scopes});
        operator(&world, "define_resource", input).unwrap();
    }
    assert!(world.dump("resource/").len() < MAX_RESULT_BYTES - 100 * 256);
    assert_eq!(list(&world).len(), MAX_RESOURCES as usize);
}

#[test]
fn of_two_definitions_for_the_last_place_one_is_refused() {
    let world = World::new();
    for number in 1..MAX_RESOURCES {
        define(&world, &format!("https://{number}.example.com"), "One").unwrap();
    }
    let input = json!({"resource": NOTES, "resource_name": "Notes"});
    let other = || define(&world, "https://mail.example.com", "Mail");
    let answer = overtaken(&world, "define_resource", input, other);
    assert_eq!(answer, Err(-32000));
    assert_eq!(list(&world).len(), MAX_RESOURCES as usize);
}

#[test]
fn definitions_and_deletions_at_the_same_time_take_place_one_after_the_other() {
    let world = World::new();
    let input = json!({"resource": NOTES, "resource_name": "Later"});
    let other = || define(&world, NOTES, "Earlier");
    overtaken(&world, "define_resource", input, other).unwrap();
    assert_eq!(list(&world)[0]["resource_name"], "Later");

    let input = json!({"resource": NOTES});
    let other = || operator(&world, "delete_resource", json!({"resource": NOTES}));
    let answer = overtaken(&world, "delete_resource", input, other);
    assert_eq!(answer, Err(-32000));

    define(&world, NOTES, "Notes").unwrap();
    let input = json!({"resource": NOTES, "resource_name": "Again"});
    let answer = overtaken(&world, "define_resource", input, other);
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(list(&world)[0]["resource_name"], "Again");
}

#[test]
fn changes_of_clients_and_resource_servers_are_audited_in_the_shared_chain() {
    let world = World::new();
    define(&world, NOTES, "Notes").unwrap();
    operator(&world, "delete_resource", json!({"resource": NOTES})).unwrap();
    let input = json!({"client_name": "An app", "redirect_uris": ["com.example.app:/"]});
    let client = operator(&world, "create_client", input).unwrap();
    let id = json!({"client_id": client["client_id"]});
    operator(&world, "delete_client", id).unwrap();
    let audited = world.audited.take();
    let expected = [
        (
            "define_resource",
            json!({"resource": NOTES, "resource_name": "Notes", "scopes": ["notes:read"]}),
        ),
        ("delete_resource", json!({"resource": NOTES})),
        (
            "create_client",
            json!({
                "client_id": client["client_id"],
                "client_name": "An app",
                "redirect_uris": ["com.example.app:/"],
                "token_endpoint_auth_method": "none",
                "scopes": ["*"],
            }),
        ),
        (
            "delete_client",
            json!({"client_id": client["client_id"], "client_name": "An app"}),
        ),
    ];
    assert_eq!(audited.len(), expected.len());
    for (record, (operation, details)) in audited.iter().zip(expected) {
        assert_eq!(record["account"], "0".repeat(32));
        assert_eq!(record["operation"], operation);
        assert_eq!(record["outcome"], "success");
        assert_eq!(record["actor"], "operator");
        assert_eq!(record["details"], details);
    }
    let input = json!({"user_id": "0".repeat(32)});
    let intact = operator(&world, "verify_audit_chain", input).unwrap();
    assert_eq!(intact["intact"], true);
}
