//! API keys and service accounts.

mod ended_with_sessions;
mod introspection;
mod required;
mod secret;

use std::cell::Cell;

use serde_json::{Value, json};

use crate::domain::audit::{Chain, Event};
use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::credentials::api_key;
use crate::ports::{Entry, MessageKind, Mutation, Outcome, Page, Store, Unavailable};
use crate::storage::batch::{Batch, Commit};
use crate::storage::record;
use crate::testing::{self, World};
use crate::types::id::Id;
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";
const KEYS_WRITE: &str = "user-auth:api-keys:write";
const INTROSPECT: &str = "user-auth:tokens:introspect";

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

/// Registers a user with these permissions, and logs the user in.
fn user(world: &World, username: &str, permissions: &[&str]) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    let registered = world.run("register", credentials.clone()).unwrap();
    grant(world, username, permissions);
    let mut tokens = world.run("login", credentials).unwrap();
    tokens["user_id"] = registered["user_id"].clone();
    tokens
}

fn grant(world: &World, username: &str, permissions: &[&str]) {
    let role = format!("role-of-{username}");
    let input = json!({"role": role, "permissions": permissions});
    operator(world, "define_role", input);
    let input = json!({"username": username, "role": role});
    operator(world, "assign_role", input);
}

fn create(world: &World, tokens: &Value, scopes: &[&str]) -> Value {
    let input = json!({"name": "ci", "scopes": scopes});
    let answer = world.run_as(bearer(tokens), "create_api_key", input);
    answer.unwrap()
}

/// Calls an operation that requires a permission, with the key.
fn try_key(world: &World, key: &Value) -> Answer {
    world.run_as(holder(key), "list_roles", json!({}))
}

fn listed(world: &World, tokens: &Value) -> Vec<Value> {
    let answer = world.run_as(bearer(tokens), "list_api_keys", json!({}));
    answer.unwrap()["api_keys"].as_array().unwrap().clone()
}

fn introspect(world: &World, token: &str) -> Value {
    operator(world, "introspect_token", json!({"token": token}))
}

fn revoke(world: &World, token: &Value) -> Value {
    let answer = world.run("revoke_token", json!({"token": token}));
    answer.unwrap()
}

/// Returns the error without its time.
fn failure(world: &World, principal: Principal, operation: &str, input: Value) -> Value {
    let caller = Caller {
        principal,
        source: Source::from_peer(Some("192.0.2.1")),
    };
    let call = Call {
        caller: &caller,
        ..world.call()
    };
    let error = testing::invoke(operation, input, &call).unwrap_err();
    json!([error.kind.code(), error.message, error.details()])
}

#[test]
fn a_refused_key_learns_whether_its_scopes_or_the_roles_of_its_account_lack_the_permission() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:*"]);
    let scopes = "the scopes of the API key do not include it";
    let roles = "no role of the account grants it";
    let role = json!({"role": "clerk", "permissions": ["user-auth:users:read"]});
    for (given, operation, input, withheld, action) in [
        (&[][..], "list_roles", json!({}), scopes, "create_api_key"),
        (&[][..], "list_users", json!({}), scopes, "create_api_key"),
        (&["*"][..], "list_users", json!({}), roles, "administrator"),
        (
            &["*"][..],
            "define_role",
            role.clone(),
            roles,
            "administrator",
        ),
        (
            &["user-auth:roles:*"][..],
            "define_role",
            role,
            scopes,
            "create_api_key",
        ),
    ] {
        let key = create(&world, &alice, given);
        let refused = failure(&world, holder(&key), operation, input);
        assert_eq!(refused[0], -32002, "{refused}");
        assert_eq!(refused[2]["withheld"], withheld, "{given:?} {operation}");
        let told = refused[2]["action"].as_str().unwrap();
        assert!(told.contains(action), "{given:?} {operation}: {told}");
        let revoked = json!({"key_id": key["key_id"]});
        operator(&world, "revoke_api_key", revoked);
    }
    let refused = failure(&world, bearer(&alice), "list_users", json!({}));
    assert_eq!(refused[2]["withheld"], roles, "{refused}");
}

#[test]
fn a_key_is_limited_to_what_both_its_scopes_and_the_roles_of_its_account_permit() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:*"]);
    for (scopes, expected) in [
        (&["user-auth:roles:read"][..], Ok(())),
        (&["*"][..], Ok(())),
        (&["user-auth:*", "billing:read"][..], Ok(())),
        (&["user-auth:roles:write"][..], Err(-32002)),
        (&["user-auth:users:read"][..], Err(-32002)),
        (&[][..], Err(-32002)),
    ] {
        let key = create(&world, &alice, scopes);
        assert_eq!(try_key(&world, &key).map(|_| ()), expected, "{scopes:?}");
    }
    let everything = create(&world, &alice, &["*"]);
    let users = world.run_as(holder(&everything), "list_users", json!({}));
    assert_eq!(users, Err(-32002), "no role of alice permits that");
    let input = json!({"username": "alice", "role": "role-of-alice"});
    operator(&world, "revoke_role", input);
    assert_eq!(try_key(&world, &everything), Err(-32002));
}

#[test]
fn the_x_api_key_header_identifies_the_principal() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "user-auth_list_roles", "arguments": {}}});
    let api_key = key["api_key"].as_str().unwrap();
    let (_, answer) = world.post(&[("x-api-key", api_key)], &body.to_string());
    assert!(answer["result"]["structuredContent"]["roles"].is_array());
    let (_, answer) = world.post(&[("x-api-key", "uak_wrong")], &body.to_string());
    assert_eq!(answer["error"]["code"], -32001);
}

#[test]
fn operations_of_sessions_refuse_api_keys() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    for (operation, input) in [
        ("list_sessions", json!({})),
        ("revoke_other_sessions", json!({})),
        (
            "change_password",
            json!({"current_password": PASSWORD, "new_password": PASSWORD}),
        ),
    ] {
        assert_eq!(world.run_as(holder(&key), operation, input), Err(-32001));
    }
    for (operation, input) in [
        ("create_api_key", json!({"name": "another"})),
        ("list_api_keys", json!({})),
        ("rotate_api_key", json!({"key_id": key["key_id"]})),
        ("revoke_api_key", json!({"key_id": key["key_id"]})),
        ("query_audit", json!({})),
    ] {
        let answer = world.run_as(holder(&key), operation, input);
        assert_eq!(answer, Err(-32002), "{operation}");
    }
}

#[test]
fn a_revoked_key_is_refused() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let other = create(&world, &alice, &["*"]);
    assert!(try_key(&world, &key).is_ok());
    let input = json!({"key_id": key["key_id"]});
    let gone = json!({"key_id": key["key_id"]});
    let answer = world.run_as(bearer(&alice), "revoke_api_key", input.clone());
    assert_eq!(answer, Ok(gone));
    assert_eq!(try_key(&world, &key), Err(-32001));
    assert!(try_key(&world, &other).is_ok());
    assert_eq!(listed(&world, &alice).len(), 1);
    let again = world.run_as(bearer(&alice), "revoke_api_key", input);
    assert_eq!(again, Err(-32000));
}

#[test]
fn rotating_a_key_returns_a_new_key_with_the_same_rights_and_ends_the_old_one() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let input = json!({"name": "ci", "scopes": ["user-auth:*"], "expires_in_days": 10});
    let old = world.run_as(bearer(&alice), "create_api_key", input);
    let old = old.unwrap();
    world.pass(60);
    let input = json!({"key_id": old["key_id"]});
    let new = world.run_as(bearer(&alice), "rotate_api_key", input);
    let new = new.unwrap();
    assert_eq!(try_key(&world, &old), Err(-32001));
    assert!(try_key(&world, &new).is_ok());
    for field in ["key_id", "name", "scopes"] {
        assert_eq!(old[field], new[field]);
    }
    assert_ne!(old["api_key"], new["api_key"]);
    assert_eq!(old["expires_at"], "2026-08-07T09:00:00.000Z");
    assert_eq!(new["expires_at"], "2026-08-07T09:01:00.000Z");
    assert_eq!(listed(&world, &alice).len(), 1);
}

#[test]
fn an_expired_key_is_refused() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let input = json!({"name": "ci", "scopes": ["*"], "expires_in_days": 1});
    let key = world.run_as(bearer(&alice), "create_api_key", input);
    let key = key.unwrap();
    world.pass(24 * 60 * 60 - 1);
    assert!(try_key(&world, &key).is_ok());
    world.pass(1);
    assert_eq!(try_key(&world, &key), Err(-32001));
    let secret = key["api_key"].as_str().unwrap();
    assert_eq!(introspect(&world, secret), json!({"active": false}));
    for days in [json!(0), json!(3651), json!(-1), json!(1.5), json!("3651")] {
        let input = json!({"name": "ci", "expires_in_days": days, "user_id": alice["user_id"]});
        let answer = world.run_as(Principal::Operator, "create_api_key", input);
        assert_eq!(answer, Err(-32000), "{days}");
    }
}

#[test]
fn keys_end_for_good_when_their_account_is_disabled_or_deleted() {
    for operation in ["disable_user", "delete_user"] {
        let world = World::new();
        let alice = user(&world, "alice", &["user-auth:roles:read"]);
        let key = create(&world, &alice, &["*"]);
        assert!(try_key(&world, &key).is_ok());
        operator(&world, operation, json!({"username": "alice"}));
        assert_eq!(try_key(&world, &key), Err(-32001), "{operation}");
        let secret = key["api_key"].as_str().unwrap();
        assert_eq!(introspect(&world, secret), json!({"active": false}));
        assert_eq!(world.dump("api-key/"), "", "{operation}");
        match operation {
            "disable_user" => {
                operator(&world, "enable_user", json!({"username": "alice"}));
            }
            _ => {
                user(&world, "alice", &["user-auth:roles:read"]);
            }
        }
        assert_eq!(try_key(&world, &key), Err(-32001), "{operation}");
    }
}

#[test]
fn all_keys_of_an_account_end_in_one_batch() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let mallory = user(&world, "mallory", &["user-auth:roles:read"]);
    let keys = [create(&world, &alice, &["*"]), create(&world, &alice, &[])];
    let other = create(&world, &mallory, &["*"]);
    let user_id = Id::try_from(alice["user_id"].as_str().unwrap().to_owned()).unwrap();
    let call = world.call();
    let head = record::read(Chain::head_key(user_id), &call.ports).unwrap();
    let mut batch = Batch::new();
    api_key::end_all(user_id, &mut batch, &call.ports).unwrap();
    let chain = Chain::at(user_id, head);
    chain
        .append(Event::success("force_password_reset"), &mut batch, &call)
        .unwrap();
    assert_eq!(call.commit(batch).unwrap(), Commit::Done);
    for key in keys {
        assert_eq!(try_key(&world, &key), Err(-32001));
    }
    assert!(listed(&world, &alice).is_empty());
    assert!(try_key(&world, &other).is_ok());
}

#[test]
fn creating_and_rotating_keys_requires_a_recent_login() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let key = create(&world, &alice, &[]);
    world.pass(6 * 60);
    let rotate = json!({"key_id": key["key_id"]});
    for (operation, input) in [
        ("create_api_key", json!({"name": "ci"})),
        ("rotate_api_key", rotate.clone()),
    ] {
        let answer = world.run_as(bearer(&alice), operation, input);
        assert_eq!(answer, Err(-32001), "{operation}");
    }
    assert_eq!(listed(&world, &alice).len(), 1);
    let answer = world.run_as(bearer(&alice), "revoke_api_key", rotate);
    assert!(answer.is_ok(), "to end one is always safe");
}

#[test]
fn creating_keys_for_other_accounts_requires_the_permission() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let mallory = user(&world, "mallory", &["billing:*"]);
    let input = json!({"name": "ci", "user_id": alice["user_id"]});
    for principal in [bearer(&mallory), holder(&create(&world, &mallory, &["*"]))] {
        let answer = world.run_as(principal, "create_api_key", input.clone());
        assert_eq!(answer, Err(-32002));
    }
    let answer = world.run("create_api_key", input.clone());
    assert_eq!(answer, Err(-32001));
    assert!(listed(&world, &alice).is_empty());
    let own = json!({"name": "ci", "user_id": mallory["user_id"]});
    let answer = world.run_as(bearer(&mallory), "create_api_key", own);
    assert!(answer.is_ok(), "their own id is theirs to name");
    assert!(
        world
            .run_as(Principal::Operator, "create_api_key", input)
            .is_ok()
    );
    let without_owner = json!({"name": "ci"});
    let answer = world.run_as(Principal::Operator, "create_api_key", without_owner);
    assert_eq!(answer, Err(-32000), "the operator has no account");
}

#[test]
fn an_account_is_named_by_its_user_name_as_well_as_by_its_id() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let admin = user(&world, "admin", &["*"]);
    let name = |username: &str| json!({"name": "ci", "username": username});
    let run = |tokens: &Value, operation, input| world.run_as(bearer(tokens), operation, input);
    for tokens in [&admin, &alice] {
        run(tokens, "create_api_key", name("Alice")).unwrap();
    }
    for operation in ["list_api_keys", "list_grants", "verify_audit_chain"] {
        let by_id = json!({"user_id": alice["user_id"]});
        let by_id = run(&admin, operation, by_id).unwrap();
        let by_name = json!({"username": "alice"});
        for tokens in [&admin, &alice] {
            let answer = run(tokens, operation, by_name.clone());
            assert_eq!(answer.as_ref(), Ok(&by_id), "{operation}");
        }
    }
    assert_eq!(listed(&world, &alice).len(), 2);
    assert!(listed(&world, &admin).is_empty());
    let grant = "00000000000000000000000000000000";
    for (operation, input) in [
        ("create_api_key", json!({"name": "ci"})),
        ("list_api_keys", json!({})),
        ("list_grants", json!({})),
        ("revoke_grant", json!({"grant_id": grant})),
        ("explain_permissions", json!({})),
    ] {
        let mut unknown = input.clone();
        unknown["username"] = json!("nobody");
        let refused = failure(&world, bearer(&admin), operation, unknown.clone());
        let message = json!([-32000, "There is no such user"]);
        assert_eq!(json!([refused[0], refused[1]]), message, "{operation}");
        // Callers without the permission do not learn whether there is such a user.
        let mut another = input.clone();
        another["username"] = json!("admin");
        let refused = |input| failure(&world, bearer(&alice), operation, input);
        assert_eq!(refused(unknown.clone())[0], -32002, "{operation}");
        assert_eq!(refused(unknown), refused(another), "{operation}");
        let mut both = input;
        both["username"] = json!("alice");
        both["user_id"] = alice["user_id"].clone();
        let refused = failure(&world, bearer(&admin), operation, both);
        assert_eq!(refused[2]["fields"][1]["path"], "$.username", "{operation}");
    }
}

#[test]
fn keys_for_other_accounts_cannot_exceed_the_permissions_of_the_caller() {
    let world = World::new();
    let alice = user(&world, "alice", &["billing:read"]);
    let clerk = user(&world, "clerk", &[KEYS_WRITE, "billing:*"]);
    let for_alice =
        |scopes: &[&str]| json!({"name": "ci", "scopes": scopes, "user_id": alice["user_id"]});
    let covered = create(&world, &clerk, &[KEYS_WRITE, "billing:read"]);
    for (principal, scopes, expected) in [
        (bearer(&clerk), &["billing:*"][..], true),
        (bearer(&clerk), &["billing:read", KEYS_WRITE][..], true),
        (bearer(&clerk), &["*"][..], false),
        (bearer(&clerk), &["billing:read", "user-auth:*"][..], false),
        (holder(&covered), &["billing:read"][..], true),
        (holder(&covered), &["billing:write"][..], false),
    ] {
        let answer = world.run_as(principal, "create_api_key", for_alice(scopes));
        let expected = if expected { Ok(()) } else { Err(-32002) };
        assert_eq!(answer.map(|_| ()), expected, "{scopes:?}");
    }
    let wide = json!({"name": "ci", "scopes": ["*"], "user_id": clerk["user_id"]});
    let answer = world.run_as(holder(&covered), "create_api_key", wide);
    assert_eq!(answer, Err(-32002), "no key makes itself a wider one");
    let widest = create(&world, &alice, &["*"]);
    let input = json!({"key_id": widest["key_id"]});
    let answer = world.run_as(bearer(&clerk), "rotate_api_key", input);
    assert_eq!(answer, Err(-32002), "nor does who rotates get one");
    let input = json!({"permission": "billing:read"});
    let may = world.run_as(holder(&widest), "check_permission", input);
    assert_eq!(may.unwrap()["allowed"], true, "and it is as it was");
}

#[test]
fn keys_of_other_accounts_appear_not_to_exist() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let mallory = user(&world, "mallory", &[]);
    let key = create(&world, &alice, &[]);
    let no_key = json!({"key_id": "0".repeat(32)});
    let its_key = json!({"key_id": key["key_id"]});
    for operation in ["rotate_api_key", "revoke_api_key"] {
        let its = failure(&world, bearer(&mallory), operation, its_key.clone());
        let none = failure(&world, bearer(&mallory), operation, no_key.clone());
        assert_eq!(its, none);
        assert_eq!(its[0], -32000);
    }
    let input = json!({"user_id": alice["user_id"]});
    let answer = world.run_as(bearer(&mallory), "list_api_keys", input.clone());
    assert_eq!(answer, Err(-32002));
    assert_eq!(listed(&world, &alice).len(), 1);
    let clerk = user(&world, "clerk", &[KEYS_WRITE]);
    let answer = world.run_as(bearer(&clerk), "list_api_keys", input);
    assert_eq!(answer.unwrap()["api_keys"][0]["key_id"], key["key_id"]);
    let answer = world.run_as(bearer(&clerk), "revoke_api_key", its_key);
    assert!(answer.is_ok());
}

/// Counts the calls of the store, and runs a hook before the first scan.
struct Watched<'a> {
    world: &'a World,
    calls: Cell<u32>,
    before_scan: Cell<Option<&'a dyn Fn()>>,
}

impl<'a> Watched<'a> {
    fn new(world: &'a World) -> Watched<'a> {
        Watched {
            world,
            calls: Cell::new(0),
            before_scan: Cell::new(None),
        }
    }

    fn count(&self) -> &World {
        self.calls.set(self.calls.get() + 1);
        self.world
    }
}

impl Store for Watched<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.count().get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        self.count().commit(batch)
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.count().add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        if let Some(happen) = self.before_scan.take() {
            happen();
        }
        self.count().scan(prefix, after, limit)
    }
}

#[test]
fn no_key_is_created_when_the_session_ends_meanwhile() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let log_out = || {
        revoke(&world, &alice["access_token"]);
    };
    let store = Watched::new(&world);
    store.before_scan.set(Some(&log_out));
    let caller = Caller {
        principal: bearer(&alice),
        source: Source::from_peer(Some("192.0.2.1")),
    };
    let call = world.call_over(&caller, &store);
    let made = testing::invoke("create_api_key", json!({"name": "ci"}), &call);
    assert_eq!(made.unwrap_err().kind.code(), -32001);
    assert_eq!(world.dump("api-key/"), "");
}

#[test]
fn the_owner_is_notified_of_created_and_rotated_keys() {
    let world = World::new();
    let input = json!({"users": [
        {"username": "alice", "email": "alice@example.com", "email_verified": true},
        {"username": "bob", "email": "bob@example.com"},
    ]});
    let imported = operator(&world, "import_users", input);
    let root = user(&world, "root", &["*"]);
    for user in imported["users"].as_array().unwrap() {
        let input = json!({"name": "ci", "user_id": user["user_id"]});
        let key = world
            .run_as(bearer(&root), "create_api_key", input)
            .unwrap();
        let input = json!({"key_id": key["key_id"]});
        world
            .run_as(bearer(&root), "rotate_api_key", input)
            .unwrap();
    }
    let outbox = world.outbox.take();
    let told: Vec<_> = outbox.iter().map(|it| (it.kind, it.to.as_str())).collect();
    let one = (MessageKind::ApiKeyCreated, "alice@example.com");
    assert_eq!(told, [one, one], "at a verified address, and at no other");
    assert!(outbox.iter().all(|message| message.code.is_none()));
}

#[test]
fn an_account_can_have_at_most_100_keys() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let mut last = Value::Null;
    for _ in 0..100 {
        last = create(&world, &alice, &[]);
    }
    let one_more = || world.run_as(bearer(&alice), "create_api_key", json!({"name": "ci"}));
    assert_eq!(one_more(), Err(-32000));
    let input = json!({"key_id": last["key_id"]});
    world
        .run_as(bearer(&alice), "revoke_api_key", input)
        .unwrap();
    assert!(one_more().is_ok());
    assert_eq!(listed(&world, &alice).len(), 100);
}

#[test]
fn names_and_scopes_are_bounded() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let long = "ü".repeat(100);
    let too_long = "ü".repeat(101);
    let many = vec!["billing:read"; 65];
    for (input, expected) in [
        (json!({"name": long}), Ok(())),
        (json!({"name": too_long}), Err(-32000)),
        (json!({"name": ""}), Err(-32000)),
        (json!({"name": " "}), Err(-32000)),
        (json!({"name": "a\r\nb"}), Err(-32000)),
        (json!({"name": "a\u{1b}[0m"}), Err(-32000)),
        (json!({"name": "a\u{202e}b"}), Err(-32000)),
        (json!({"name": "a\u{200b}b"}), Err(-32000)),
        (json!({"name": "\u{2764}\u{fe0f}"}), Ok(())),
        (json!({}), Err(-32000)),
        (json!({"name": "ci", "scopes": many}), Err(-32000)),
        (json!({"name": "ci", "scopes": ["A"]}), Err(-32000)),
        (json!({"name": "ci", "scopes": "billing"}), Err(-32000)),
        (json!({"name": "ci", "key_id": "0".repeat(32)}), Err(-32000)),
        (json!({"name": "ci", "api_key": "uak_mine"}), Err(-32000)),
    ] {
        let answer = world.run_as(bearer(&alice), "create_api_key", input.clone());
        assert_eq!(answer.map(|_| ()), expected, "{input}");
    }
}

#[test]
fn the_last_use_of_a_key_is_recorded_to_the_minute() {
    let world = World::new();
    let alice = user(&world, "alice", &["user-auth:roles:read"]);
    let key = create(&world, &alice, &["*"]);
    let last_used = || listed(&world, &alice)[0].get("last_used_at").cloned();
    assert_eq!(last_used(), None);
    try_key(&world, &key).unwrap();
    assert_eq!(last_used(), Some(json!("2026-07-28T09:00:00.000Z")));
    world.pass(59);
    try_key(&world, &key).unwrap();
    assert_eq!(last_used(), Some(json!("2026-07-28T09:00:00.000Z")));
    world.pass(1);
    try_key(&world, &key).unwrap();
    assert_eq!(last_used(), Some(json!("2026-07-28T09:01:00.000Z")));
}

#[test]
fn service_accounts_can_be_used_only_through_their_keys() {
    let world = World::new();
    let alice = user(&world, "alice", &[]);
    let input = json!({"username": "robot"});
    let answer = world.run_as(bearer(&alice), "create_service_account", input.clone());
    assert_eq!(answer, Err(-32002));
    let robot = operator(&world, "create_service_account", input.clone());
    assert_eq!(robot["username"], "robot");
    let again = world.run_as(Principal::Operator, "create_service_account", input);
    assert_eq!(again, Err(-32000), "the name is taken");
    grant(&world, "robot", &["user-auth:roles:read"]);
    let input = json!({"name": "ci", "scopes": ["*"], "user_id": robot["user_id"]});
    let key = operator(&world, "create_api_key", input);
    assert!(try_key(&world, &key).is_ok());
    for password in [PASSWORD, "*", "!", "null"] {
        let login = |username: &str| {
            let input = json!({"username": username, "password": password});
            failure(&world, Principal::Anonymous, "login", input)
        };
        let wrong = login("robot");
        assert_eq!(wrong, login("nobody"));
        assert_eq!(wrong[0], -32001);
    }
}
