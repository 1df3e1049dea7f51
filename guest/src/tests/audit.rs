//! The audit trail: who can read it, and how manipulations of the store are detected.

use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::testing::World;
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";
const AUDIT_READ: &str = "user-auth:audit:read";

fn bearer(tokens: &Value) -> Principal {
    let token = tokens["access_token"].as_str().unwrap();
    Principal::AccessToken(Secret::new(token.to_owned()))
}

fn operator(world: &World, operation: &str, input: Value) -> Result<Value, i32> {
    world.run_as(Principal::Operator, operation, input)
}

fn user(world: &World, username: &str) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    let registered = world.run("register", credentials.clone()).unwrap();
    let mut tokens = world.run("login", credentials).unwrap();
    tokens["user_id"] = registered["user_id"].clone();
    tokens
}

fn auditor(world: &World) -> Value {
    let tokens = user(world, "auditor");
    let input = json!({"role": "auditor", "permissions": [AUDIT_READ]});
    operator(world, "define_role", input).unwrap();
    let input = json!({"username": "auditor", "role": "auditor"});
    operator(world, "assign_role", input).unwrap();
    tokens
}

/// Returns a world in which five or six events happened to alice in each of these rounds.
fn busy(rounds: usize) -> (World, Value) {
    let world = World::new();
    let alice = user(&world, "alice");
    for round in 0..rounds {
        world.pass(1);
        let login = json!({"username": "alice", "password": PASSWORD});
        let tokens = world.run("login", login).unwrap();
        // A hundred failures would block the source.
        if round % 2 == 0 {
            let wrong = json!({"username": "alice", "password": "a wrong one"});
            assert_eq!(world.run("login", wrong), Err(-32001));
        }
        let key = json!({"name": "ci"});
        let key = world
            .run_as(bearer(&tokens), "create_api_key", key)
            .unwrap();
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        world.run("refresh_token", refresh).unwrap();
        let revoke = json!({"token": key["api_key"]});
        world.run("revoke_token", revoke).unwrap();
        let logout = json!({"refresh_token": tokens["refresh_token"]});
        world.run("logout", logout).unwrap();
    }
    (world, alice)
}

fn record_key(user: &Value, seq: u64) -> String {
    format!("audit/{}/{seq:012}", user["user_id"].as_str().unwrap())
}

fn head_key(user: &Value) -> String {
    format!("audit-head/{}", user["user_id"].as_str().unwrap())
}

fn length(world: &World, user: &Value) -> u64 {
    let head = world.stored(&head_key(user)).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    head["seq"].as_u64().unwrap()
}

/// Follows all pages. Returns the number of examined records and the reported break.
fn verify(world: &World, user: &Value) -> (u64, Value) {
    let mut input = json!({"user_id": user["user_id"]});
    let mut examined = 0;
    loop {
        let page = operator(world, "verify_audit_chain", input.clone()).unwrap();
        assert_eq!(page["user_id"], user["user_id"]);
        assert_eq!(page["intact"], page.get("broken").is_none());
        assert!(page["examined"].as_u64().unwrap() <= 500);
        examined += page["examined"].as_u64().unwrap();
        if let Some(broken) = page.get("broken") {
            return (examined, broken.clone());
        }
        let Some(next) = page.get("next_seq") else {
            return (examined, Value::Null);
        };
        input["after_seq"] = next.clone();
        input["previous"] = page["next_previous"].clone();
    }
}

fn broken(seq: u64, problem: &str) -> Value {
    json!({"seq": seq, "problem": problem})
}

#[test]
fn a_chain_of_hundreds_of_mixed_operations_verifies() {
    let (world, alice) = busy(120);
    let length = length(&world, &alice);
    assert!(length > 600, "more than a page: {length}");
    assert_eq!(verify(&world, &alice), (length, Value::Null));
}

#[test]
fn altered_records_are_detected_and_identified() {
    let (world, alice) = busy(60);
    for seq in [1, 150, length(&world, &alice)] {
        let key = record_key(&alice, seq);
        let good = world.stored(&key).unwrap();
        let text = String::from_utf8(good.clone()).unwrap();
        let altered = [
            text.replacen(r#""source":"192.0.2.1""#, r#""source":"192.0.2.2""#, 1),
            text.replacen(r#""outcome":"success""#, r#""outcome":"failure""#, 1),
            text.replacen('{', r#"{"forged":true,"#, 1),
            text.replacen('{', "{ ", 1),
            text.replacen(r#""seal":""#, r#""seal":"0"#, 1),
            "{".to_owned(),
            String::new(),
        ];
        for altered in altered {
            if altered == text {
                continue;
            }
            world.tamper(&key, Some(altered.clone().into_bytes()));
            let (_, found) = verify(&world, &alice);
            assert_eq!(found, broken(seq, "altered"), "{altered}");
        }
        world.tamper(&key, Some(good));
        assert_eq!(verify(&world, &alice).1, Value::Null);
    }
}

#[test]
fn dropped_records_are_detected_and_identified() {
    let (world, alice) = busy(60);
    for seq in [1, 2, 150, length(&world, &alice) - 1] {
        let key = record_key(&alice, seq);
        let good = world.stored(&key);
        world.tamper(&key, None);
        assert_eq!(verify(&world, &alice).1, broken(seq, "dropped"));
        world.tamper(&key, good);
    }
}

#[test]
fn swapped_records_are_detected_and_identified() {
    let (world, alice) = busy(60);
    let (first, second) = (record_key(&alice, 100), record_key(&alice, 101));
    let records = (world.stored(&first), world.stored(&second));
    world.tamper(&first, records.1.clone());
    world.tamper(&second, records.0.clone());
    assert_eq!(verify(&world, &alice).1, broken(100, "reordered"));
    // Closing the gap of a deleted record moves all later records.
    world.tamper(&first, records.1);
    world.tamper(&second, None);
    assert_eq!(verify(&world, &alice).1, broken(100, "reordered"));
}

#[test]
fn records_of_other_chains_are_reported_as_reordered() {
    let (world, alice) = busy(10);
    let mallory = user(&world, "mallory");
    world.tamper(
        &record_key(&alice, 2),
        world.stored(&record_key(&mallory, 2)),
    );
    assert_eq!(verify(&world, &alice).1, broken(2, "reordered"));
}

#[test]
fn records_of_another_history_are_reported_as_unlinked() {
    // The ids and keys are the same, and the time differs by one second.
    let (world, alice) = busy(3);
    let other = World::new();
    other.pass(1);
    let again = user(&other, "alice");
    assert_eq!(alice["user_id"], again["user_id"]);
    world.tamper(&record_key(&alice, 2), other.stored(&record_key(&again, 2)));
    assert_eq!(verify(&world, &alice).1, broken(2, "unlinked"));
}

#[test]
fn truncated_chains_are_detected_and_the_first_missing_record_identified() {
    let (world, alice) = busy(60);
    let last = length(&world, &alice);
    world.tamper(&record_key(&alice, last), None);
    assert_eq!(verify(&world, &alice).1, broken(last, "truncated"));
    world.tamper(&record_key(&alice, last - 1), None);
    assert_eq!(verify(&world, &alice).1, broken(last - 1, "truncated"));
    for seq in 1..last {
        world.tamper(&record_key(&alice, seq), None);
    }
    assert_eq!(verify(&world, &alice).1, broken(1, "truncated"));
    world.tamper(&head_key(&alice), None);
    assert_eq!(verify(&world, &alice).1, broken(1, "truncated"));
}

#[test]
fn missing_and_altered_heads_are_detected() {
    let (world, alice) = busy(5);
    let last = length(&world, &alice);
    let head = String::from_utf8(world.stored(&head_key(&alice)).unwrap()).unwrap();
    for (head, problem) in [
        (None, "head_missing"),
        (Some("{".to_owned()), "head_altered"),
        (
            Some(head.replacen(&last.to_string(), &(last - 1).to_string(), 1)),
            "head_altered",
        ),
        (
            Some(head.replacen(r#""seal":""#, r#""seal":"0"#, 1)),
            "head_altered",
        ),
    ] {
        world.tamper(&head_key(&alice), head.map(String::into_bytes));
        assert_eq!(verify(&world, &alice).1, broken(last, problem));
    }
}

#[test]
fn owners_and_auditors_can_verify_a_chain() {
    let (world, alice) = busy(2);
    let mallory = user(&world, "mallory");
    let auditor = auditor(&world);
    let verify = |tokens: &Value, input: Value| {
        let answer = world.run_as(bearer(tokens), "verify_audit_chain", input);
        answer.map(|found| (found["user_id"].clone(), found["intact"].clone()))
    };
    let intact = (alice["user_id"].clone(), json!(true));
    let by_name = json!({"username": "alice"});
    let by_id = json!({"user_id": alice["user_id"]});
    assert_eq!(verify(&alice, json!({})), Ok(intact.clone()));
    for input in [by_name, by_id] {
        assert_eq!(verify(&alice, input.clone()), Ok(intact.clone()));
        assert_eq!(verify(&auditor, input.clone()), Ok(intact.clone()));
        assert_eq!(verify(&mallory, input), Err(-32002));
    }
    let unknown = json!({"username": "nobody"});
    assert_eq!(
        verify(&mallory, unknown.clone()),
        Err(-32002),
        "as for alice"
    );
    assert_eq!(verify(&auditor, unknown), Err(-32000));
    let unknown = json!({"user_id": "0123456789abcdef".repeat(2)});
    assert_eq!(verify(&auditor, unknown), Err(-32000));
    let half = json!({"after_seq": 3});
    assert_eq!(verify(&alice, half), Err(-32000));
    assert_eq!(
        operator(&world, "verify_audit_chain", json!({})),
        Err(-32000)
    );
}

fn query(world: &World, tokens: &Value, input: Value) -> Result<Vec<Value>, i32> {
    let mut input = input;
    let mut records = Vec::new();
    loop {
        let page = world.run_as(bearer(tokens), "query_audit", input.clone())?;
        records.extend(page["records"].as_array().unwrap().iter().cloned());
        match page.get("next") {
            Some(next) => input["after"] = next.clone(),
            None => return Ok(records),
        }
    }
}

#[test]
fn owners_can_read_only_their_own_trail() {
    let (world, alice) = busy(3);
    let mallory = user(&world, "mallory");
    let own = query(&world, &mallory, json!({})).unwrap();
    assert_eq!(own.len(), 2);
    assert!(
        own.iter()
            .all(|record| record["user_id"] == mallory["user_id"])
    );
    let length = length(&world, &alice) as usize;
    for input in [
        json!({"user_id": alice["user_id"]}),
        json!({"username": "Alice"}),
        json!({"username": "nobody"}),
    ] {
        assert_eq!(query(&world, &mallory, input), Err(-32002));
    }
    // A cursor into the trail of another user gives no access to it.
    let cursor = format!("{}/{:012}", alice["user_id"].as_str().unwrap(), 1);
    let records = query(&world, &mallory, json!({"after": cursor})).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record["user_id"] == mallory["user_id"])
    );
    let records = query(&world, &alice, json!({"username": "alice"})).unwrap();
    assert_eq!(records.len(), length);
    assert_eq!(world.run("query_audit", json!({})), Err(-32001));
}

#[test]
fn auditors_can_page_through_all_trails() {
    let (world, alice) = busy(30);
    let auditor = auditor(&world);
    let all = query(&world, &auditor, json!({"limit": 7})).unwrap();
    assert_eq!(all.len(), world.audited.borrow().len());
    let all_at_once = query(&world, &auditor, json!({"limit": 100})).unwrap();
    assert_eq!(all, all_at_once);
    let of_alice = query(&world, &auditor, json!({"username": "alice"})).unwrap();
    assert_eq!(of_alice.len() as u64, length(&world, &alice));
    for (index, record) in of_alice.iter().enumerate() {
        assert_eq!(record["seq"], index + 1);
    }
}

#[test]
fn trails_can_be_filtered_by_operation_actor_and_time() {
    let (world, alice) = busy(20);
    let count = |input: Value| query(&world, &alice, input).unwrap().len();
    assert_eq!(count(json!({"operation": "refresh_token"})), 20);
    assert_eq!(count(json!({"operation": "authorize_client"})), 0);
    assert_eq!(count(json!({"actor": "operator"})), 0);
    let own = json!({"operation": "create_api_key", "actor": alice["user_id"]});
    assert_eq!(count(own), 20);
    let login = json!({"operation": "login", "until": "2026-07-28T09:00:11Z"});
    let early = query(&world, &alice, login).unwrap();
    assert!(
        early
            .iter()
            .all(|record| record["at"].as_str() < Some("2026-07-28T09:00:11"))
    );
    let good = early.iter().filter(|record| record["outcome"] == "success");
    assert_eq!(good.count(), 11);
    let late = json!({"operation": "logout", "since": "2026-07-28T11:00:11+02:00"});
    assert_eq!(count(late), 10);
    let page = json!({"operation": "logout", "limit": 20});
    let page = world.run_as(bearer(&alice), "query_audit", page).unwrap();
    assert_eq!(page["records"].as_array().unwrap().len(), 20);
}

#[test]
fn one_query_examines_at_most_500_records() {
    let (world, alice) = busy(120);
    let input = json!({"operation": "delete_user"});
    let page = world.run_as(bearer(&alice), "query_audit", input).unwrap();
    assert_eq!(page["records"], json!([]));
    let expected = format!("{}/{:012}", alice["user_id"].as_str().unwrap(), 500);
    assert_eq!(page["next"], expected);
}

#[test]
fn invalid_audit_queries_are_refused() {
    let (world, alice) = busy(1);
    for input in [
        json!({"operation": "logn"}),
        json!({"limit": 0}),
        json!({"limit": 101}),
        json!({"since": "yesterday"}),
        json!({"until": 5}),
        json!({"after": "x"}),
        json!({"after": format!("{}/1", "0".repeat(32))}),
        json!({"user_id": alice["user_id"], "username": "alice"}),
        json!({"user": "alice"}),
    ] {
        let answer = query(&world, &alice, input.clone());
        assert_eq!(answer, Err(-32000), "{input}");
    }
}
