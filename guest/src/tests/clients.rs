//! Clients and resource servers, as administrators see them.

use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::domain::clients::client::Client;
use crate::domain::clients::client_id::ClientId;
use crate::testing::World;

fn operator(world: &World, operation: &str, input: Value) -> Result<Value, i32> {
    world.run_as(Principal::Operator, operation, input)
}

fn create(world: &World, confidential: bool) -> Value {
    let input = json!({
        "name": "Desk",
        "redirect_uris": ["https://desk.example/cb", "http://localhost/cb"],
        "confidential": confidential,
    });
    operator(world, "create_client", input).unwrap()
}

#[test]
fn the_secret_of_a_client_is_shown_once_and_stored_as_a_hash() {
    let world = World::new();
    let client = create(&world, true);
    let secret = client["client_secret"].as_str().unwrap();
    assert!(!world.dump("").contains(secret));
    let listed = operator(&world, "list_clients", json!({})).unwrap();
    assert_eq!(listed["clients"][0]["client_id"], client["client_id"]);
    assert_eq!(listed["clients"][0]["confidential"], true);
    assert!(!listed.to_string().contains(secret));

    let id = ClientId::try_from(client["client_id"].as_str().unwrap().to_owned()).unwrap();
    let is_right = |secret: &str| {
        let stored = Client::read(&id, &world.ports()).unwrap().unwrap();
        let hash = stored.value.secret.unwrap();
        hash.is_of(&id, secret, &world.ports()).unwrap()
    };
    assert!(is_right(secret) && !is_right("uas_x"));
    let input = json!({"client_id": client["client_id"], "new_secret": true});
    let renewed = operator(&world, "update_client", input).unwrap();
    assert!(!is_right(secret), "the new secret ends the old one");
    assert!(is_right(renewed["client_secret"].as_str().unwrap()));
}

#[test]
fn a_public_client_has_no_secret_until_it_is_given_one() {
    let world = World::new();
    let client = create(&world, false);
    assert_eq!(client["client_secret"], Value::Null);
    assert_eq!(client["confidential"], false);
    let input = json!({"client_id": client["client_id"], "name": "Desk 2"});
    let changed = operator(&world, "update_client", input).unwrap();
    assert_eq!(changed["name"], "Desk 2");
    assert_eq!(changed["redirect_uris"], client["redirect_uris"]);
    assert_eq!(changed["confidential"], false);
    let input = json!({"client_id": client["client_id"], "new_secret": true});
    let changed = operator(&world, "update_client", input).unwrap();
    assert_eq!(changed["confidential"], true);
}

/// A08.
#[test]
fn each_redirect_uri_that_leads_elsewhere_is_refused() {
    let world = World::new();
    let good = "https://desk.example/cb";
    for uris in [
        json!([]),
        json!([good, "javascript:alert(1)"]),
        json!([good, "data:text/html,x"]),
        json!([good, "file:///etc/passwd"]),
        json!([good, "http://desk.example/cb"]),
        json!((0..11).map(|n| format!("{good}/{n}")).collect::<Vec<_>>()),
    ] {
        let input = json!({"name": "Desk", "redirect_uris": uris});
        assert_eq!(
            operator(&world, "create_client", input),
            Err(-32000),
            "{uris}"
        );
    }
    let twice = json!({"name": "Desk", "redirect_uris": [good, good]});
    let created = operator(&world, "create_client", twice).unwrap();
    assert_eq!(created["redirect_uris"], json!([good]));
}

#[test]
fn clients_are_listed_page_by_page() {
    let world = World::new();
    for _ in 0..101 {
        create(&world, false);
    }
    let first = operator(&world, "list_clients", json!({})).unwrap();
    let rest = operator(&world, "list_clients", json!({"after": first["next"]})).unwrap();
    let count = |page: &Value| page["clients"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest)), (100, 1));
    assert_eq!(rest["next"], Value::Null);
}

#[test]
fn a_deleted_client_is_gone() {
    let world = World::new();
    let input = json!({"client_id": create(&world, false)["client_id"]});
    operator(&world, "delete_client", input.clone()).unwrap();
    for operation in ["delete_client", "update_client"] {
        assert_eq!(operator(&world, operation, input.clone()), Err(-32000));
    }
}

#[test]
fn all_spellings_of_a_url_are_one_resource_server() {
    let world = World::new();
    let define = |url: &str, name: &str| {
        let scopes = json!([{"scope": "files:read", "description": "Read your files"}]);
        let input = json!({"resource": url, "name": name, "scopes": scopes});
        operator(&world, "define_resource", input)
    };
    define("https://Files.example/", "Files").unwrap();
    define("https://files.example", "Files 2").unwrap();
    let listed = operator(&world, "list_resources", json!({})).unwrap();
    assert_eq!(listed["resources"].as_array().unwrap().len(), 1);
    assert_eq!(listed["resources"][0]["resource"], "https://files.example");
    assert_eq!(listed["resources"][0]["name"], "Files 2");
    assert_eq!(define("http://files.example", "Files"), Err(-32000));
    let url = json!({"resource": "https://FILES.example/"});
    operator(&world, "delete_resource", url.clone()).unwrap();
    assert_eq!(operator(&world, "delete_resource", url), Err(-32000));
}

#[test]
fn the_scopes_of_a_resource_server_have_different_names() {
    let world = World::new();
    let scope = |name: &str| json!({"scope": name, "description": ""});
    let define = |scopes: Vec<Value>| {
        let input = json!({"resource": "https://files.example", "name": "x", "scopes": scopes});
        operator(&world, "define_resource", input).is_ok()
    };
    assert!(define(vec![scope("a"), scope("b")]));
    assert!(!define(vec![scope("a"), scope("a")]));
    assert!(!define((0..51).map(|n| scope(&format!("s{n}"))).collect()));
}
