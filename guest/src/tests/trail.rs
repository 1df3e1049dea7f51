//! The records of operations that the host receives for its audit log.

use serde_json::{Map, Value, json};

use crate::domain::caller::Principal;
use crate::operations::{self, TABLE};
use crate::testing::World;
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "the quick brown fox";

fn register(world: &World, username: &str) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    world.run("register", credentials.clone()).unwrap();
    world.run("login", credentials).unwrap()
}

fn last(world: &World) -> Value {
    world.ended.borrow().last().unwrap().clone()
}

#[test]
fn every_call_reports_its_outcome_exactly_once() {
    for operation in TABLE {
        let world = World::new();
        for (principal, input) in [
            (Principal::Anonymous, json!({})),
            (Principal::Operator, json!({})),
            (Principal::Operator, json!([])),
        ] {
            world.ended.borrow_mut().clear();
            let answer = world.run_as(principal, operation.name, input);
            let ended = world.ended.borrow();
            assert_eq!(ended.len(), 1, "{ended:?}");
            assert_eq!(ended[0]["operation"], operation.name);
            assert_eq!(ended[0]["code"].as_i64(), answer.err().map(i64::from));
        }
    }
}

#[test]
fn input_of_anonymous_calls_about_unknown_accounts_is_not_recorded() {
    for operation in TABLE {
        let world = World::new();
        register(&world, "alice");
        world.ended.borrow_mut().clear();
        for field in fields(operation).into_iter().chain(["unknown".to_owned()]) {
            let mut input = valid(operation);
            for secret in [
                json!(SECRET),
                json!([SECRET]),
                json!({"password": SECRET, "operation": SECRET}),
            ] {
                input.insert(field.clone(), secret);
                let input = Value::Object(input.clone());
                let _ = world.run(operation.name, input.clone());
                let told = last(&world).to_string();
                assert!(!told.contains(SECRET), "{input}: {told}");
            }
        }
    }
}

#[test]
fn secrets_in_calls_of_the_operator_are_not_recorded() {
    for operation in TABLE {
        let world = World::new();
        register(&world, "alice");
        let schema = operation.input_schema();
        let secret_fields = fields(operation)
            .into_iter()
            .filter(|field| schema["properties"][field]["format"] == "password");
        for field in secret_fields.chain(["unknown".to_owned()]) {
            let mut input = valid(operation);
            input.insert(field.clone(), json!(SECRET));
            let input = Value::Object(input);
            let wrapped = json!({"data": {"operation": operation.name, "of": input}});
            for (name, input) in [
                (operation.name, input.clone()),
                ("execute_primary_operation", wrapped),
            ] {
                let _ = world.run_as(Principal::Operator, name, input);
                let told = last(&world).to_string();
                assert!(!told.contains(SECRET), "{name}.{field}: {told}");
            }
        }
    }
}

#[test]
fn a_record_contains_the_caller_and_the_account_concerned() {
    let world = World::new();
    let alice = register(&world, "alice");
    let bob = register(&world, "bob");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let verify = json!({"token": alice["access_token"]});
    let alices_id = world.run("verify_token", verify).unwrap()["sub"].clone();
    assert_eq!(last(&world)["account"], alices_id, "as the answer has it");
    assert_eq!(last(&world)["credential"], "Anonymous");
    assert_eq!(last(&world)["actor"], Value::Null);
    assert_eq!(last(&world)["input"], json!({"token": "[secret]"}));

    let credentials = json!({"username": "alice", "password": "not hers"});
    world.run("login", credentials).unwrap_err();
    assert_eq!(last(&world)["account"], alices_id);
    assert_eq!(last(&world)["input"]["username"], "alice");
    let typed_into_the_wrong_field = json!({"username": SECRET, "password": "alice"});
    world.run("login", typed_into_the_wrong_field).unwrap_err();
    assert_eq!(last(&world)["account"], Value::Null);
    assert_eq!(last(&world)["input"], Value::Null);

    // Refused calls are recorded as well.
    let token = Secret::new(text(&bob["access_token"]));
    let target = json!({"username": "alice"});
    let refused = world.run_as(
        Principal::AccessToken(token),
        "disable_user",
        target.clone(),
    );
    assert_eq!(refused, Err(-32002));
    let told = last(&world);
    let verify = json!({"token": bob["access_token"]});
    let bobs_id = world.run("verify_token", verify).unwrap()["sub"].clone();
    assert_eq!((&told["actor"], &told["code"]), (&bobs_id, &json!(-32002)));
    assert_eq!(told["session_id"], bob["session_id"]);
    assert_eq!(told["credential"], "AccessToken");
    assert_eq!(told["input"], target);

    let target = json!({"username": "alice"});
    let disabled = world.run_as(Principal::Operator, "disable_user", target);
    disabled.unwrap();
    assert_eq!(last(&world)["actor"], "operator");
    assert_eq!(last(&world)["account"], alices_id);
    let token = Secret::new(text(&alice["access_token"]));
    let dead = world.run_as(Principal::AccessToken(token), "list_sessions", json!({}));
    assert_eq!(dead, Err(-32001));
    assert_eq!(last(&world)["credential"], "AccessToken");
    assert_eq!(
        last(&world)["actor"],
        Value::Null,
        "no account owns it any more"
    );
}

#[test]
fn a_nested_operation_has_its_own_record() {
    let world = World::new();
    let input = json!({"data": {
        "operation": "register", "username": "alice", "password": PASSWORD,
    }});
    world.run("execute_primary_operation", input).unwrap();
    let ended = world.ended.borrow();
    assert_eq!(ended[0]["operation"], "register");
    assert_eq!(
        ended[0]["input"],
        json!({"username": "alice", "password": "[secret]"})
    );
    assert_eq!(ended[1]["operation"], "execute_primary_operation");
    assert_eq!(ended[1]["input"], json!({"data": "[secret]"}));
    assert!(ended[1]["account"].is_string());
}

fn fields(operation: &operations::Definition) -> Vec<String> {
    let schema = operation.input_schema();
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.clone())
        .collect()
}

/// Returns an input with all required fields, most of them valid.
fn valid(operation: &operations::Definition) -> Map<String, Value> {
    let schema = operation.input_schema();
    let required = schema["required"].as_array().into_iter().flatten();
    required
        .map(|name| {
            let name = name.as_str().unwrap();
            let schema = &schema["properties"][name];
            let value = match (name, schema["type"].as_str()) {
                ("username", _) => json!("bob"),
                ("email", _) => json!("bob@example.com"),
                (_, Some("array")) => json!([]),
                (_, Some("object")) => json!({}),
                (_, _) if schema["pattern"] == "^[0-9a-f]{32}$" => json!("0".repeat(32)),
                _ => json!("123456"),
            };
            (name.to_owned(), value)
        })
        .collect()
}
