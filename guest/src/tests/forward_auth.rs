//! Checks of forward authentication, as reverse proxies request them.

use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::testing::World;

fn by_key(world: &World, key: &str) -> u16 {
    let headers = vec![("x-api-key".to_owned(), key.to_owned())];
    world.forward(headers)
}

#[test]
fn requests_with_an_api_key_are_not_treated_as_the_operator() {
    let world = World::new();
    let robot = json!({"username": "robot"});
    let account = world.run_as(Principal::Operator, "create_service_account", robot);
    let owner = account.unwrap()["user_id"].clone();
    let input = json!({"name": "first", "user_id": owner});
    let key = world
        .run_as(Principal::Operator, "create_api_key", input)
        .unwrap();
    for (shown, status) in [("junk", 401), (key["api_key"].as_str().unwrap(), 200)] {
        world.ended.borrow_mut().clear();
        assert_eq!(by_key(&world, shown), status);
        let ended = world.ended.borrow();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0]["credential"], "ApiKey");
        let actor = match status {
            200 => json!(format!("api-key/{}", key["key_id"].as_str().unwrap())),
            _ => Value::Null,
        };
        assert_eq!(ended[0]["actor"], actor);
    }
    let listed = json!({"user_id": owner});
    let listed = world
        .run_as(Principal::Operator, "list_api_keys", listed)
        .unwrap();
    assert!(!listed["api_keys"][0]["last_used_at"].is_null(), "{listed}");
}
