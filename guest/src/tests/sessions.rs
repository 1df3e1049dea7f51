//! Accounts, logins, sessions, throttling and the audit trail.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::domain::accounts::account::Account;
use crate::domain::call::Call;
use crate::domain::env::Env;
use crate::domain::sessions::bearer;
use crate::domain::sessions::session;
use crate::domain::throttle::{Attempt, Authenticator};
use crate::ports::{Entry, Mutation, Outcome, Page, Ports, Store, Unavailable};
use crate::testing::{self, World};

const PASSWORD: &str = "correct horse battery staple";

impl World {
    /// Runs an operation. Returns the code of the error on failure.
    pub fn run(&self, operation: &str, input: Value) -> Result<Value, i32> {
        testing::invoke(operation, input, &self.call()).map_err(|error| error.kind.code())
    }

    pub fn log_in(&self, username: &str, password: &str) -> Result<Value, i32> {
        self.run("login", json!({"username": username, "password": password}))
    }

    pub fn alice(&self) -> Value {
        let credentials = json!({"username": "alice", "password": PASSWORD});
        self.run("register", credentials.clone()).unwrap();
        self.run("login", credentials).unwrap()
    }

    pub(super) fn active(&self, tokens: &Value) -> bool {
        let answer = self.run("verify_token", json!({"token": tokens["access_token"]}));
        answer.unwrap()["active"].as_bool().unwrap()
    }

    pub(super) fn refresh(&self, tokens: &Value) -> Result<Value, i32> {
        self.run(
            "refresh_token",
            json!({"refresh_token": tokens["refresh_token"]}),
        )
    }
}

#[test]
fn a_registered_name_is_taken_in_every_spelling() {
    let world = World::new();
    world.alice();
    for name in ["alice", "ALICE", "ａｌｉｃｅ"] {
        let input = json!({"username": name, "password": PASSWORD});
        assert_eq!(world.run("register", input), Err(-32000), "{name}");
    }
}

#[test]
fn failed_logins_return_the_same_error_for_wrong_names_and_wrong_passwords() {
    let world = World::new();
    world.alice();
    let failure = |username: &str| {
        let input = json!({"username": username, "password": "not the password at all"});
        let error = testing::invoke("login", input, &world.call()).unwrap_err();
        error.to_object(world.ports().clock.now())
    };
    assert_eq!(failure("alice"), failure("nobody"));
}

#[test]
fn a_refresh_replaces_both_tokens_and_keeps_the_session() {
    let world = World::new();
    let first = world.alice();
    let second = world.refresh(&first).unwrap();
    assert_ne!(first["access_token"], second["access_token"]);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(first["session_id"], second["session_id"]);
    assert!(world.active(&second));
}

#[test]
fn a_session_survives_its_own_concurrent_password_change() {
    for operation in ["refresh_token", "revoke_other_sessions"] {
        for reads in 0..4 {
            let world = World::new();
            let tokens = world.alice();
            let input = match operation {
                "refresh_token" => json!({"refresh_token": tokens["refresh_token"]}),
                _ => json!({"access_token": tokens["access_token"]}),
            };
            let store = ChangesThePassword {
                world: &world,
                access_token: &tokens["access_token"],
                reads: Cell::new(Some(reads)),
            };
            let call = world.call();
            let ports = Ports {
                store: &store,
                ..call.ports
            };
            let env = Env { ports, ..call.env };
            let answer = testing::invoke(operation, input, &Call { env, ..call });
            assert!(
                answer.is_ok(),
                "{operation} after {reads} reads: {answer:?}"
            );
        }
    }
}

/// A store through which the owner of the session changes the password after a number of
/// reads, or before the first commit.
struct ChangesThePassword<'a> {
    world: &'a World,
    access_token: &'a Value,
    reads: Cell<Option<u32>>,
}

impl ChangesThePassword<'_> {
    fn change(&self) {
        self.reads.set(None);
        let input = json!({
            "access_token": self.access_token,
            "current_password": PASSWORD,
            "new_password": PASSWORD,
        });
        self.world.run("change_password", input).unwrap();
    }
}

impl Store for ChangesThePassword<'_> {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        match self.reads.get() {
            Some(0) => self.change(),
            Some(reads) => self.reads.set(Some(reads - 1)),
            None => {}
        }
        self.world.get(keys)
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        if self.reads.get().is_some() {
            self.change();
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

#[test]
fn made_up_refresh_tokens_end_no_session() {
    let world = World::new();
    let tokens = world.alice();
    let text = tokens["refresh_token"].as_str().unwrap();
    for position in [4, 20, 40, 60, text.len() - 2] {
        let mut forged = text.as_bytes().to_vec();
        forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let answer = world.run("refresh_token", json!({"refresh_token": forged}));
        assert_eq!(answer, Err(-32001));
    }
    assert!(world.active(&tokens));
}

#[test]
fn logging_out_with_any_token_ends_the_session_for_good() {
    for by_access_token in [true, false] {
        let world = World::new();
        let first = world.alice();
        let second = world.refresh(&first).unwrap();
        let input = match by_access_token {
            true => json!({"access_token": first["access_token"]}),
            false => json!({"refresh_token": first["refresh_token"]}),
        };
        for _ in 0..2 {
            assert!(world.run("logout", input.clone()).is_ok());
            assert!(!world.active(&second));
            assert_eq!(world.refresh(&second), Err(-32001));
        }
    }
}

#[test]
fn logout_requires_exactly_one_token() {
    let world = World::new();
    let tokens = world.alice();
    let both = json!({
        "access_token": tokens["access_token"],
        "refresh_token": tokens["refresh_token"],
    });
    assert_eq!(world.run("logout", both), Err(-32000));
    assert_eq!(world.run("logout", json!({})), Err(-32000));
    assert!(world.active(&tokens));
}

#[test]
fn tokens_and_sessions_expire() {
    let world = World::new();
    let tokens = world.alice();
    world.pass(15 * 60 - 1);
    assert!(world.active(&tokens));
    world.pass(1);
    assert!(!world.active(&tokens));
    let tokens = world.refresh(&tokens).unwrap();
    world.pass(14 * 24 * 60 * 60);
    assert_eq!(world.refresh(&tokens), Err(-32001));
}

#[test]
fn refreshing_does_not_extend_a_session_beyond_its_absolute_lifetime() {
    let world = World::new();
    let mut tokens = world.alice();
    for _ in 0..29 {
        world.pass(24 * 60 * 60);
        tokens = world.refresh(&tokens).unwrap();
    }
    world.pass(24 * 60 * 60 - 60);
    tokens = world.refresh(&tokens).unwrap();
    assert_eq!(tokens["expires_in"], 60);
    world.pass(60);
    assert!(!world.active(&tokens));
    assert_eq!(world.refresh(&tokens), Err(-32001));
}

#[test]
fn failures_are_throttled_for_known_and_unknown_names_alike() {
    for username in ["alice", "nobody"] {
        let world = World::new();
        world.alice();
        let guess = || {
            world.run(
                "login",
                json!({"username": username, "password": "a wrong one"}),
            )
        };
        for _ in 0..10 {
            assert_eq!(guess(), Err(-32001));
        }
        assert_eq!(guess(), Err(-32003));
        let right = json!({"username": username, "password": PASSWORD});
        assert_eq!(world.run("login", right.clone()), Err(-32003));
        world.pass(15 * 60);
        assert_eq!(world.run("login", right).is_ok(), username == "alice");
    }
}

#[test]
fn a_successful_login_resets_the_failures() {
    let world = World::new();
    world.alice();
    for _ in 0..3 {
        for _ in 0..9 {
            let wrong = json!({"username": "alice", "password": "a wrong one"});
            assert_eq!(world.run("login", wrong), Err(-32001));
        }
        let right = json!({"username": "alice", "password": PASSWORD});
        assert!(world.run("login", right).is_ok());
    }
}

#[test]
fn concurrent_attempts_are_counted_exactly() {
    let world = World::new();
    let tokens = world.alice();
    let session = bearer::live_session(tokens["access_token"].as_str().unwrap(), &world.call());
    let user_id = session.unwrap().unwrap().user_id;
    let account = Account::find(user_id, &world.ports()).unwrap();
    let account = account.unwrap().value;
    let authenticator = Authenticator::password_of(&account);
    let admitted: Vec<Attempt> = (0..15)
        .map(|_| Attempt::admit_password(authenticator, &account.username, &world.call()))
        .map(Result::unwrap)
        .collect();
    let right = json!({"username": "alice", "password": PASSWORD});
    // Attempts without a verdict are not counted.
    assert!(world.run("login", right.clone()).is_ok());
    let counted = admitted
        .into_iter()
        .filter_map(|attempt| attempt.count(&world.call()).ok());
    assert_eq!(counted.count(), 10, "no caller waits for their end");
    assert_eq!(world.run("login", right), Err(-32003));
}

#[test]
fn throttled_logins_return_the_same_error_with_the_right_password() {
    let seen = |password: &str| {
        let world = World::new();
        world.alice();
        let login = |password: &str| {
            let params = json!({
                "name": "user-auth_login",
                "arguments": {"username": "alice", "password": password},
                "_meta": {"progressToken": "p"},
            });
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            world.post(&[], &body.to_string())
        };
        for _ in 0..10 {
            login("a wrong one");
        }
        world.notifications.take();
        (login(password), world.notifications.take())
    };
    assert_eq!(seen(PASSWORD), seen("another wrong one"));
}

#[test]
fn a_login_rehashes_the_password_after_a_change_of_parameters() {
    let mut world = World::new();
    world.alice();
    let stored = |world: &World| world.dump("account/");
    let before = stored(&world);
    world.settings.argon2_iterations = 3;
    let right = json!({"username": "alice", "password": PASSWORD});
    world.run("login", right.clone()).unwrap();
    let after = stored(&world);
    assert_ne!(before, after);
    assert!(after.contains("t=3"), "{after}");
    world.run("login", right).unwrap();
    assert_eq!(after, stored(&world), "once is enough");
}

#[test]
fn one_password_tried_on_many_names_is_throttled_by_source() {
    let world = World::new();
    world.alice();
    for number in 0..100 {
        let input = json!({"username": format!("user{number}"), "password": "Password1234567"});
        assert_eq!(world.run("login", input), Err(-32001));
    }
    let input = json!({"username": "user100", "password": "Password1234567"});
    assert_eq!(world.run("login", input), Err(-32003));
    let right = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        world.run("login", right),
        Err(-32003),
        "not even the right one is told"
    );
}

#[test]
fn changes_are_audited_in_one_unbroken_chain_without_secrets() {
    let world = World::new();
    let first = world.alice();
    let _ = world.run(
        "login",
        json!({"username": "alice", "password": "a wrong one"}),
    );
    let second = world.refresh(&first).unwrap();
    world.pass(120);
    let _ = world.refresh(&first);
    let audited = world.audited.borrow();
    let seen: Vec<(&str, &str)> = audited
        .iter()
        .map(|record| {
            (
                record["operation"].as_str().unwrap(),
                record["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("register", "success"),
            ("login", "success"),
            ("login", "invalid_credentials"),
            ("refresh_token", "success"),
            ("refresh_token", "reused"),
        ]
    );
    let mut previous = "";
    for (index, record) in audited.iter().enumerate() {
        assert_eq!(record["seq"], index + 1);
        assert_eq!(record["previous"], previous);
        previous = record["seal"].as_str().unwrap();
    }
    let text = json!(*audited).to_string();
    for secret in [PASSWORD, "a wrong one"] {
        assert!(!text.contains(secret));
    }
    for tokens in [&first, &second] {
        for token in ["access_token", "refresh_token"] {
            assert!(!text.contains(tokens[token].as_str().unwrap()));
        }
    }
}

#[test]
fn a_sweep_deletes_only_expired_records_page_by_page() {
    let world = World::new();
    world.alice();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    for _ in 0..4 {
        world.run("login", credentials.clone()).unwrap();
    }
    world.pass(14 * 24 * 60 * 60);
    let live = world.run("login", credentials).unwrap();
    let (mut after, mut examined, mut deleted) = (None, 0, 0);
    loop {
        let swept = session::sweep(after.as_deref(), 2, &world.call()).unwrap();
        assert!(swept.examined <= 2);
        examined += swept.examined;
        deleted += swept.deleted;
        after = swept.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((examined, deleted), (6, 5));
    assert!(world.active(&live));
}

#[test]
fn unknown_registration_fields_are_refused() {
    let world = World::new();
    for field in ["role", "user_id", "verified", "tenant", "created_at"] {
        let input = json!({"username": "eve", "password": PASSWORD, field: "admin"});
        assert_eq!(world.run("register", input), Err(-32000), "{field}");
    }
}
