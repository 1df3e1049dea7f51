//! An actor commits nothing after the response of the call that stopped it: each
//! operation of the table is overtaken by each kind of stop, at each of its calls of the
//! store.

mod cases;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use self::cases::{Case, StopFn, allowed_sign_in, cases, stops};
use super::second_factor::shown;
use crate::domain::access::actor::Requirement;
use crate::domain::caller::{Caller, Principal, Source};
use crate::operations::{self, Effect, TABLE};
use crate::ports::{Entry, Expect, Mutation, Outcome, Page, Store, Unavailable};
use crate::storage::batch::Batch;
use crate::testing::{self, World};
use crate::types::secret::Secret;

const PASSWORD: &str = "correct horse battery staple";
const NEW_PASSWORD: &str = "another horse battery staple";
const GRANT: &str = "abababababababababababababababab";
const CLIENT: &str = "client-cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
const RESOURCE: &str = "https://notes.example.com/mcp";
/// Prefixes of records that grant no privileges: counters of attempts, and known sources.
const COUNTERS: [&str; 4] = [
    "throttle/",
    "known-source/",
    "login-challenge-codes/",
    "refusals/",
];
/// Operations that only give up rights, which a stopped token may still call.
const GIVES_UP: [&str; 2] = ["logout", "revoke_token"];
const AUDIT: [&str; 2] = ["audit/", "audit-head/"];

type Answer = Result<Value, i32>;

/// Alice, the actor to be stopped, with all that she needs to be stopped in every way,
/// and other users as the targets of her calls.
struct Scene {
    world: World,
    /// The session that acts.
    session: Value,
    /// Another session of Alice.
    other: Value,
    /// The API key that acts.
    key: Value,
    /// Another API key of Alice.
    other_key: Value,
    alice: Value,
    bob: Value,
    bobs_key: Value,
    /// A client with a secret.
    client: Value,
    challenge: Value,
    /// The current code of her app.
    code: String,
    /// The current code of the app that she is about to confirm.
    new_code: String,
    email_code: String,
    reset_code: String,
    /// A sign-in by browser that she has allowed.
    sign_in_id: Value,
}

fn operator(world: &World, operation: &str, input: Value) -> Value {
    let answer = world.run_as(Principal::Operator, operation, input);
    answer.unwrap_or_else(|code| panic!("{operation}: {code}"))
}

fn anonymous(world: &World, operation: &str, input: Value) -> Value {
    let answer = world.run(operation, input);
    answer.unwrap_or_else(|code| panic!("{operation}: {code}"))
}

fn by(world: &World, tokens: &Value, operation: &str, input: Value) -> Value {
    let answer = world.run_as(bearer(tokens), operation, input);
    answer.unwrap_or_else(|code| panic!("{operation}: {code}"))
}

fn bearer(tokens: &Value) -> Principal {
    Principal::AccessToken(Secret::new(text(&tokens["access_token"])))
}

fn holder(key: &Value) -> Principal {
    Principal::ApiKey(Secret::new(text(&key["api_key"])))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn last_code(world: &World) -> String {
    let outbox = world.outbox.borrow();
    let code = outbox.iter().rev().find_map(|message| message.code.clone());
    code.unwrap().0.expose().to_owned()
}

fn step(world: &World) -> u64 {
    world.now_ms.get() / 30_000
}

impl Scene {
    fn new() -> Scene {
        let mut world = World::new().with_pages();
        world.settings.other_audiences = vec!["notes".to_owned()];
        let credentials = json!({"username": "alice", "password": PASSWORD});
        let mut registration = credentials.clone();
        registration["email"] = json!("alice@example.com");
        let alice = anonymous(&world, "register", registration);
        let first = anonymous(&world, "login", credentials.clone());
        by(&world, &first, "request_email_verification", json!({}));
        let code = json!({"code": last_code(&world)});
        by(&world, &first, "confirm_email", code);
        let app = by(&world, &first, "enroll_totp", json!({}));
        let app = text(&app["secret"]);
        let code = json!({"code": shown(&app, step(&world))});
        by(&world, &first, "confirm_totp", code);
        let login = || {
            world.pass(30);
            let challenge = anonymous(&world, "login", credentials.clone())["challenge"].take();
            let code = shown(&app, step(&world));
            let input = json!({"challenge": challenge, "code": code});
            anonymous(&world, "complete_login", input)
        };
        let (session, other) = (login(), login());
        world.pass(30);
        let challenge = anonymous(&world, "login", credentials)["challenge"].take();
        let new_app = by(&world, &session, "enroll_totp", json!({}));
        let address = json!({"email": "alice@example.org"});
        by(&world, &session, "request_email_change", address);
        let email_code = last_code(&world);
        let input = json!({"username": "alice"});
        anonymous(&world, "request_password_reset", input);
        let reset_code = last_code(&world);

        for (role, permissions) in [
            ("staff", json!(["*"])),
            ("clerk", json!(["billing:read"])),
            ("temp", json!([])),
        ] {
            let input = json!({"role": role, "permissions": permissions});
            operator(&world, "define_role", input);
        }
        let credentials = json!({"username": "bob", "password": PASSWORD});
        let bob = anonymous(&world, "register", credentials.clone());
        let bobs_session = anonymous(&world, "login", credentials);
        by(&world, &bobs_session, "enroll_totp", json!({}));
        operator(&world, "create_service_account", json!({"username": "off"}));
        operator(&world, "disable_user", json!({"username": "off"}));
        for (username, role) in [("alice", "staff"), ("bob", "temp")] {
            let input = json!({"username": username, "role": role});
            operator(&world, "assign_role", input);
        }
        let make = |user_id: &Value| {
            let input = json!({"name": "key", "scopes": ["*"], "user_id": user_id});
            operator(&world, "create_api_key", input)
        };
        let key = make(&alice["user_id"]);
        let other_key = make(&alice["user_id"]);
        let bobs_key = make(&bob["user_id"]);
        let input = json!({
            "client_name": "An app",
            "redirect_uris": ["https://app.example.com/callback"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let client = operator(&world, "create_client", input);
        operator(
            &world,
            "define_resource",
            json!({"resource": RESOURCE, "resource_name": "Notes"}),
        );
        let sign_in_id = allowed_sign_in(&world, &session, &alice["user_id"]);
        // Records the last use of the key now, so that the next calls do not.
        world.run_as(holder(&key), "list_roles", json!({})).unwrap();
        Scene {
            session,
            other,
            key,
            other_key,
            alice: alice["user_id"].clone(),
            bob: bob["user_id"].clone(),
            bobs_key,
            client,
            challenge,
            code: shown(&app, step(&world)),
            new_code: shown(&text(&new_app["secret"]), step(&world)),
            email_code,
            reset_code,
            sign_in_id,
            world,
        }
    }

    fn refused_after(&self, stop: &StopFn, principal: &Principal, case: &Case) -> bool {
        let world = case.world(self);
        stop(&world, self);
        let answer = world.run_as(principal.clone(), case.operation, (case.input)(self));
        matches!(answer, Err(-32001 | -32002))
    }
}

/// A store that runs a hook before each commit.
pub(super) struct Busy<'a> {
    pub(super) world: &'a World,
    pub(super) happens: &'a dyn Fn(),
}

impl Store for Busy<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.world.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        (self.happens)();
        self.world.commit(batch)
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.world.add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.world.scan(prefix, after, limit)
    }
}

/// A store that runs a hook before the call with this number.
pub(super) struct Overtaken<'a> {
    pub(super) world: &'a World,
    pub(super) calls: Cell<usize>,
    pub(super) at: usize,
    pub(super) happens: Cell<Option<&'a dyn Fn()>>,
}

impl Overtaken<'_> {
    fn call(&self) {
        if self.calls.get() == self.at
            && let Some(happens) = self.happens.take()
        {
            happens();
        }
        self.calls.set(self.calls.get() + 1);
    }
}

impl Store for Overtaken<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        self.call();
        self.world.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        self.call();
        self.world.commit(batch)
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        self.call();
        self.world.add(key, delta, ttl_ms)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        self.call();
        self.world.scan(prefix, after, limit)
    }
}

/// Returns the stored records and the number of sent messages.
fn state(world: &World, without: &[&str]) -> (Vec<(String, Vec<u8>)>, usize) {
    let mut entries = world.entries();
    entries.retain(|(key, _)| !without.iter().any(|prefix| key.starts_with(prefix)));
    (entries, world.outbox.borrow().len())
}

/// Runs the case, overtaken at the call with this number. Reports whether that call was
/// reached.
fn overtake(
    scene: &Scene,
    stop: &StopFn,
    principal: &Principal,
    case: &Case,
    at: usize,
) -> Result<bool, String> {
    let is_anonymous = matches!(principal, Principal::Anonymous);
    let world = case.world(scene);
    world.audited.take();
    let mut without = COUNTERS.to_vec();
    if is_anonymous {
        // A failed guess is recorded in the audit trail.
        without.extend(AUDIT);
    }
    let after_stop = RefCell::new(None);
    let happens = || {
        stop(&world, scene);
        world.audited.take();
        after_stop.replace(Some(state(&world, &without)));
    };
    let store = Overtaken {
        world: &world,
        calls: Cell::new(0),
        at,
        happens: Cell::new(Some(&happens)),
    };
    let caller = Caller {
        principal: principal.clone(),
        source: Source::from_peer(Some("192.0.2.1")),
    };
    let call = world.call_over(&caller, &store);
    let answer: Answer = testing::invoke(case.operation, (case.input)(scene), &call)
        .map_err(|error| error.kind.code());
    let Some(after_stop) = after_stop.take() else {
        answer.map_err(|code| format!("it failed by itself: {code}"))?;
        return Ok(false);
    };
    let audited = world.audited.take();
    let is_bad = |record: &Value| !is_anonymous || record["outcome"] == "success";
    if let Some(record) = audited.into_iter().find(is_bad) {
        return Err(format!("it did this: {record}"));
    }
    if state(&world, &without) != after_stop {
        return Err("it changed something".to_owned());
    }
    // Failing only after all attempts are used up is not enough.
    match answer {
        Err(-32004) => Err("it did not find out".to_owned()),
        _ => Ok(true),
    }
}

#[test]
fn an_actor_commits_nothing_after_the_response_that_stopped_it() {
    let scene = Scene::new();
    let stops = stops();
    let mut stopped: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut tried = 0;
    let mut late = Vec::new();
    for case in cases() {
        if GIVES_UP.contains(&case.operation) {
            continue;
        }
        let requires = operations::find(case.operation).unwrap().requires;
        let principals = match requires {
            Requirement::Nothing if case.operation != "execute_primary_operation" => {
                vec![Principal::Anonymous]
            }
            _ => vec![bearer(&scene.session), holder(&scene.key)],
        };
        // The principals that can call the operation.
        let able: Vec<Principal> = principals
            .into_iter()
            .filter(|principal| {
                let input = (case.input)(&scene);
                let world = case.world(&scene);
                world
                    .run_as(principal.clone(), case.operation, input)
                    .is_ok()
            })
            .collect();
        assert!(!able.is_empty(), "{} is done in no way", case.operation);
        for (principal, (name, stop)) in able
            .iter()
            .flat_map(|principal| stops.iter().map(move |stop| (principal, stop)))
        {
            if !scene.refused_after(stop.as_ref(), principal, &case) {
                continue;
            }
            stopped.entry(case.operation).or_default().insert(name);
            for at in 0.. {
                match overtake(&scene, stop.as_ref(), principal, &case, at) {
                    Ok(true) => tried += 1,
                    Ok(false) => break,
                    Err(problem) => late.push(format!(
                        "{} by {}, {name} at {at}: {problem}",
                        case.operation,
                        kind(principal)
                    )),
                }
                assert!(at < 200, "{} never ends", case.operation);
            }
        }
    }
    assert!(late.is_empty(), "{} of {tried}: {late:#?}", late.len());
    assert!(tried > 2000, "{tried}");
    assert_is_whole(&stopped);
}

/// Covers every change that the actor makes to its own account while it is being stopped.
#[test]
fn actors_that_never_pause_can_be_stopped() {
    let scene = Scene::new();
    for (stop, input, is_of_the_key) in [
        ("disable_user", json!({"user_id": scene.alice}), false),
        ("delete_user", json!({"user_id": scene.alice}), false),
        (
            "revoke_user_sessions",
            json!({"user_id": scene.alice}),
            false,
        ),
        (
            "force_password_reset",
            json!({"user_id": scene.alice}),
            false,
        ),
        (
            "revoke_role",
            json!({"user_id": scene.alice, "role": "staff"}),
            true,
        ),
        (
            "revoke_api_key",
            json!({"key_id": scene.key["key_id"]}),
            true,
        ),
        (
            "rotate_api_key",
            json!({"key_id": scene.key["key_id"]}),
            true,
        ),
        (
            "define_role",
            json!({"role": "staff", "permissions": []}),
            true,
        ),
        (
            "logout",
            json!({"access_token": scene.session["access_token"]}),
            false,
        ),
    ] {
        let world = scene.world.fork();
        let made = Cell::new(0);
        // Each call moves the head of her audit chain, or that of the roles.
        let work = || {
            let (principal, operation, input) = match (stop, is_of_the_key) {
                ("define_role", _) => (
                    holder(&scene.key),
                    "define_role",
                    json!({"role": "new", "permissions": []}),
                ),
                (_, true) => (holder(&scene.key), "create_api_key", json!({"name": "new"})),
                (_, false) => (bearer(&scene.session), "enroll_totp", json!({})),
            };
            let done = world.run_as(principal, operation, input);
            made.set(made.get() + usize::from(done.is_ok()));
        };
        let store = Busy {
            world: &world,
            happens: &work,
        };
        let caller = Caller {
            principal: Principal::Operator,
            source: Source::from_peer(None),
        };
        let call = world.call_over(&caller, &store);
        let answer = testing::invoke(stop, input, &call);
        assert!(answer.is_ok(), "{stop}: {answer:?}");
        assert!((1..4).contains(&made.get()), "{stop}: {}", made.get());
    }
}

#[test]
fn batches_that_change_privileges_without_being_marked_are_not_committed() {
    let scene = Scene::new();
    let world = &scene.world;
    for prefix in ["account/", "session/", "api-key/", "role/"] {
        let entries = world.entries();
        let (key, value) = entries
            .iter()
            .find(|(key, _)| key.starts_with(prefix))
            .unwrap();
        let stored = world.get(std::slice::from_ref(key)).unwrap();
        let version = stored[0].as_ref().unwrap().version.clone();
        let mut unmarked: [Batch; 3] = Default::default();
        unmarked[0].replace(key.clone(), &version, value);
        unmarked[1].put(key.clone(), Expect::Any, value, None);
        unmarked[2].delete(key.clone(), Expect::At(version));
        for batch in unmarked {
            let committed = world.call().commit(batch);
            assert_eq!(committed.unwrap_err().kind.code(), -32004, "{key}");
        }
        assert_eq!(world.entries(), entries);
    }
}

fn kind(principal: &Principal) -> &'static str {
    match principal {
        Principal::Anonymous => "an anonymous caller",
        Principal::AccessToken(_) => "a session",
        Principal::ApiKey(_) => "an API key",
        Principal::Operator => "the operator",
    }
}

/// Asserts that each operation that changes something has a case, and that every
/// applicable stop stopped it.
fn assert_is_whole(stopped: &BTreeMap<&str, BTreeSet<&str>>) {
    // These cannot be stopped: they are open to all callers, with the same response for
    // all.
    let open = ["begin_sign_in", "register", "request_password_reset"];
    for definition in TABLE.iter().filter(|it| it.effect != Effect::Reads) {
        let name = definition.name;
        let least = match definition.requires {
            _ if open.contains(&name) || GIVES_UP.contains(&name) => 0,
            // Once with a session and once with an API key.
            Requirement::Permission(_) => 20,
            Requirement::Nothing => 4,
            _ => 14,
        };
        let by = stopped.get(name).cloned().unwrap_or_default();
        assert!(
            by.len() >= least && cases().iter().any(|case| case.operation == name),
            "{name} is stopped by {by:?}"
        );
    }
}
