//! Administrators cannot act on more privileged users or on themselves, not even in a
//! race.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::domain::caller::{Caller, Principal, Source};
use crate::ports::{Entry, Mutation, Outcome, Page, Store, Unavailable};
use crate::testing::{self, World};
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";
const KEYS_WRITE: &str = "user-auth:api-keys:write";

type Answer = Result<Value, i32>;

fn bearer(tokens: &Value) -> Principal {
    let token = tokens["access_token"].as_str().unwrap();
    Principal::AccessToken(Secret::new(token.to_owned()))
}

fn holder(key: &Value) -> Principal {
    Principal::ApiKey(Secret::new(key["api_key"].as_str().unwrap().to_owned()))
}

fn operator(world: &World, operation: &str, input: Value) -> Value {
    let answer = world.run_as(Principal::Operator, operation, input);
    answer.unwrap()
}

/// Registers a user with one role, and logs the user in.
fn user(world: &World, username: &str, permissions: &[&str]) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    let registered = world.run("register", credentials.clone()).unwrap();
    let role = format!("role-of-{username}");
    let input = json!({"role": role, "permissions": permissions});
    operator(world, "define_role", input);
    assign(world, username, &role);
    let mut tokens = world.run("login", credentials).unwrap();
    tokens["user_id"] = registered["user_id"].clone();
    tokens
}

fn assign(world: &World, username: &str, role: &str) {
    let input = json!({"username": username, "role": role});
    operator(world, "assign_role", input);
}

fn create(world: &World, tokens: &Value, scopes: &[&str]) -> Value {
    let input = json!({"name": "ci", "scopes": scopes});
    let answer = world.run_as(bearer(tokens), "create_api_key", input);
    answer.unwrap()
}

/// Returns every operation on the keys of an account, the most harmless first.
fn done_with_keys_of(user: &Value, key: &Value) -> [(&'static str, Value); 4] {
    let key_id = json!({"key_id": key["key_id"]});
    [
        ("list_api_keys", json!({"user_id": user["user_id"]})),
        (
            "create_api_key",
            json!({"name": "for you", "user_id": user["user_id"]}),
        ),
        ("rotate_api_key", key_id.clone()),
        ("revoke_api_key", key_id),
    ]
}

/// A store that runs a hook just before the first commit.
struct Meanwhile<'a> {
    world: &'a World,
    happens: Cell<Option<&'a dyn Fn()>>,
}

impl Store for Meanwhile<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.world.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        if let Some(happens) = self.happens.take() {
            happens();
        }
        self.world.commit(batch)
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.world.add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.world.scan(prefix, after, limit)
    }
}

/// Runs an operation that is overtaken by `happens`.
fn run_while(
    world: &World,
    happens: &dyn Fn(),
    principal: Principal,
    (operation, input): (&str, Value),
) -> Answer {
    let store = Meanwhile {
        world,
        happens: Cell::new(Some(happens)),
    };
    let caller = Caller {
        principal,
        source: Source::from_peer(Some("192.0.2.1")),
    };
    let call = world.call_over(&caller, &store);
    let answer = testing::invoke(operation, input, &call);
    assert!(store.happens.take().is_none(), "it was to be overtaken");
    answer.map_err(|error| error.kind.code())
}

#[test]
fn keys_of_more_privileged_accounts_cannot_be_managed() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let helper = user(&world, "helper", &[KEYS_WRITE]);
    let roots_key = create(&world, &root, &[]);
    let helpers_key = create(&world, &helper, &["*"]);
    for principal in [bearer(&helper), holder(&helpers_key)] {
        for (operation, input) in done_with_keys_of(&root, &roots_key) {
            let answer = world.run_as(principal.clone(), operation, input);
            assert_eq!(answer, Err(-32002), "{operation}");
        }
    }
    let own = world.run_as(bearer(&root), "list_api_keys", json!({}));
    let own = own.unwrap()["api_keys"].as_array().unwrap().clone();
    assert_eq!(own.len(), 1);
    let secret = &roots_key["api_key"];
    let told = operator(&world, "introspect_token", json!({"token": secret}));
    assert_eq!(told["sub"], root["user_id"], "and it is as it was");
}

#[test]
fn keys_of_accounts_without_more_privileges_can_be_managed_and_the_operator_manages_all() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let helper = user(&world, "helper", &[KEYS_WRITE, "billing:*"]);
    let bob = user(&world, "bob", &["billing:read"]);
    for (principal, whose) in [
        (bearer(&helper), &bob),
        (bearer(&root), &helper),
        (Principal::Operator, &root),
    ] {
        let key = create(&world, whose, &[]);
        for (operation, input) in done_with_keys_of(whose, &key) {
            let answer = world.run_as(principal.clone(), operation, input);
            assert!(answer.is_ok(), "{operation}: {answer:?}");
        }
    }
}

#[test]
fn a_limited_key_can_manage_other_keys_of_its_account() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let little = create(&world, &root, &[KEYS_WRITE]);
    let other = create(&world, &root, &[]);
    for (operation, input) in done_with_keys_of(&root, &other) {
        let answer = world.run_as(holder(&little), operation, input);
        assert!(answer.is_ok(), "{operation}: {answer:?}");
    }
}

#[test]
fn a_limited_key_cannot_list_or_end_keys_that_it_could_not_create() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let little = create(&world, &root, &[KEYS_WRITE, "billing:*"]);
    let reachable = create(&world, &root, &["billing:read"]);
    let broad = create(&world, &root, &["billing:read", "user-auth:users:read"]);
    let everything = create(&world, &root, &["*"]);
    let listed = world.run_as(holder(&little), "list_api_keys", json!({}));
    let listed = listed.unwrap()["api_keys"].as_array().unwrap().clone();
    let mut ids: Vec<&Value> = listed.iter().map(|key| &key["key_id"]).collect();
    let mut expected = vec![&little["key_id"], &reachable["key_id"]];
    ids.sort_by_key(|id| id.as_str());
    expected.sort_by_key(|id| id.as_str());
    assert_eq!(ids, expected);
    for out_of_reach in [&broad, &everything] {
        let input = json!({"key_id": out_of_reach["key_id"]});
        for operation in ["rotate_api_key", "revoke_api_key"] {
            let answer = world.run_as(holder(&little), operation, input.clone());
            assert_eq!(answer, Err(-32000), "{operation}: as if it were not there");
        }
        let secret = &out_of_reach["api_key"];
        let told = operator(&world, "introspect_token", json!({"token": secret}));
        assert_eq!(told["active"], true);
    }
    for key in [&reachable, &little] {
        let input = json!({"key_id": key["key_id"]});
        let answer = world.run_as(holder(&little), "revoke_api_key", input);
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[test]
fn a_limited_key_cannot_change_its_own_account() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let scopes = ["user-auth:roles:write", KEYS_WRITE, "shop:*"];
    let little = create(&world, &root, &scopes);
    let input = json!({"role": "clerk", "permissions": ["shop:read"]});
    operator(&world, "define_role", input);
    let input = json!({"username": "root", "role": "clerk"});
    let answer = world.run_as(holder(&little), "assign_role", input.clone());
    assert_eq!(answer, Err(-32002));
    assert!(world.run_as(bearer(&root), "assign_role", input).is_ok());
    // The key cannot use up the last places for keys of its account either.
    let make = |principal| world.run_as(principal, "create_api_key", json!({"name": "ci"}));
    let made = (0..100).take_while(|_| make(holder(&little)).is_ok());
    assert_eq!(made.count(), 89, "with itself 90");
    for _ in 0..10 {
        make(bearer(&root)).unwrap();
    }
    assert_eq!(make(bearer(&root)), Err(-32000));
}

#[test]
fn less_privileged_administrators_cannot_exhaust_the_roles_or_the_scope_of_an_account() {
    let world = World::new();
    let helper = user(&world, "helper", &["user-auth:roles:write", "shop:*"]);
    let root = user(&world, "root", &["user-auth:*", "billing:*"]);
    let scope = || {
        let input = json!({"token": root["access_token"]});
        let verified = world.run("verify_token", input).unwrap();
        verified["scope"].as_str().unwrap().to_owned()
    };
    let long = |role: &str| -> Vec<String> {
        let grants = (0..12).map(|n| format!("shop:{role}:{n:0>100}"));
        grants.collect()
    };
    for number in 0..3 {
        let role = format!("junk-{number}");
        let input = json!({"role": role, "permissions": long(&role)});
        let defined = world.run_as(bearer(&helper), "define_role", input);
        assert!(defined.is_ok(), "{defined:?}");
        let input = json!({"username": "root", "role": role});
        let answer = world.run_as(bearer(&helper), "assign_role", input);
        assert_eq!(answer, Err(-32002));
    }
    assert_eq!(scope(), "self billing:* user-auth:*");
    // A large role that root does have does not fill the scope either.
    assign(&world, "root", "junk-0");
    assert_eq!(
        scope(),
        "self billing:* user-auth:*",
        "the large one is left out"
    );
    operator(
        &world,
        "define_role",
        json!({"role": "shop", "permissions": ["shop:*"]}),
    );
    assign(&world, "root", "shop");
    assert_eq!(
        scope(),
        "self billing:* shop:* user-auth:*",
        "one covers all"
    );
    let input = json!({"username": "root", "role": "junk-0"});
    let answer = world.run_as(bearer(&helper), "revoke_role", input);
    assert_eq!(answer, Err(-32002));
}

#[test]
fn the_scope_of_a_key_never_exceeds_the_length_of_a_header() {
    let world = World::new();
    let alice = user(&world, "alice", &["billing:*"]);
    let grants: Vec<String> = (0..100).map(|n| format!("shop:{n:0>100}")).collect();
    operator(
        &world,
        "define_role",
        json!({"role": "junk", "permissions": grants}),
    );
    assign(&world, "alice", "junk");
    let key = create(&world, &alice, &["*"]);
    let told = operator(&world, "introspect_token", json!({"token": key["api_key"]}));
    assert_eq!(told["scope"], "billing:*");
}

#[test]
fn a_role_that_is_extended_during_the_call_is_not_assigned() {
    let world = World::new();
    let helper = user(&world, "helper", &["user-auth:roles:write", "shop:*"]);
    user(&world, "bob", &[]);
    let clerk = |permissions: &[&str]| json!({"role": "clerk", "permissions": permissions});
    operator(&world, "define_role", clerk(&["shop:read"]));
    let widen = || {
        operator(&world, "define_role", clerk(&["*"]));
    };
    let step = ("assign_role", json!({"username": "bob", "role": "clerk"}));
    let answer = run_while(&world, &widen, bearer(&helper), step);
    assert_eq!(answer, Err(-32002));
}

#[test]
fn when_two_administrators_disable_each_other_at_once_one_remains() {
    let world = World::new();
    let (alice, bob) = (user(&world, "alice", &["*"]), user(&world, "bob", &["*"]));
    let bob_is_quicker = || {
        let answer = world.run_as(bearer(&bob), "disable_user", json!({"username": "alice"}));
        answer.unwrap();
    };
    let step = ("disable_user", json!({"username": "bob"}));
    let answer = run_while(&world, &bob_is_quicker, bearer(&alice), step);
    assert_eq!(answer, Err(-32001));
    let left = operator(&world, "get_user", json!({"username": "bob"}));
    assert_eq!(left["status"], "active");
}

#[test]
fn a_role_assigned_during_the_call_protects_the_keys_of_its_account() {
    for number in 1..4 {
        let world = World::new();
        let helper = user(&world, "helper", &[KEYS_WRITE]);
        let bob = user(&world, "bob", &[]);
        let key = create(&world, &bob, &[]);
        let (operation, input) = done_with_keys_of(&bob, &key)[number].clone();
        let promote = || assign(&world, "bob", "admin");
        let answer = run_while(&world, &promote, bearer(&helper), (operation, input));
        assert_eq!(answer, Err(-32002), "{operation}");
        let secret = &key["api_key"];
        let told = operator(&world, "introspect_token", json!({"token": secret}));
        assert_eq!(told["active"], true, "{operation}");
    }
}

#[test]
fn keys_cannot_be_created_for_disabled_accounts() {
    let world = World::new();
    let bob = user(&world, "bob", &[]);
    operator(&world, "disable_user", json!({"username": "bob"}));
    let input = json!({"name": "ci", "user_id": bob["user_id"]});
    let answer = world.run_as(Principal::Operator, "create_api_key", input);
    assert_eq!(answer, Err(-32000));
    assert_eq!(world.dump("api-key/"), "");
}

#[test]
fn an_administrator_who_is_disabled_during_the_call_changes_nothing() {
    for operation in [
        "disable_user",
        "enable_user",
        "unlock_user",
        "revoke_user_sessions",
        "force_password_reset",
        "delete_user",
    ] {
        let world = World::new();
        let root = user(&world, "root", &["*"]);
        user(&world, "bob", &[]);
        let bob = json!({"username": "bob"});
        if operation == "enable_user" {
            operator(&world, "disable_user", bob.clone());
        }
        let stop = || {
            operator(&world, "disable_user", json!({"username": "root"}));
        };
        world.audited.take();
        let answer = run_while(&world, &stop, bearer(&root), (operation, bob));
        assert_eq!(answer, Err(-32001), "{operation}");
        let audited = world.audited.take();
        assert_eq!(audited.len(), 1, "{operation}: only that root was stopped");
    }
}

#[test]
fn administrators_cannot_revoke_their_own_roles() {
    let world = World::new();
    let root = user(&world, "root", &["*"]);
    let key = create(&world, &root, &["*"]);
    let input = json!({"username": "root", "role": "role-of-root"});
    for principal in [bearer(&root), holder(&key)] {
        let answer = world.run_as(principal, "revoke_role", input.clone());
        assert_eq!(answer, Err(-32000));
    }
    let by_id = json!({"user_id": root["user_id"], "role": "role-of-root"});
    let answer = world.run_as(bearer(&root), "revoke_role", by_id);
    assert_eq!(answer, Err(-32000));
    let left = operator(&world, "revoke_role", input);
    assert_eq!(left["roles"], json!([]), "who runs the host can");
}

#[test]
fn when_two_administrators_revoke_each_others_role_at_once_one_remains() {
    let world = World::new();
    let (alice, bob) = (user(&world, "alice", &[]), user(&world, "bob", &[]));
    assign(&world, "alice", "admin");
    assign(&world, "bob", "admin");
    let of = |username: &str| json!({"username": username, "role": "admin"});
    let bob_is_quicker = || {
        let answer = world.run_as(bearer(&bob), "revoke_role", of("alice"));
        answer.unwrap();
    };
    let step = ("revoke_role", of("bob"));
    let answer = run_while(&world, &bob_is_quicker, bearer(&alice), step);
    assert_eq!(answer, Err(-32002));
    let left = operator(&world, "get_user", json!({"username": "bob"}));
    assert_eq!(left["roles"], json!(["admin", "role-of-bob"]));
}
