//! Many clients begin and end sessions at random in parallel. Whatever the order in which
//! the server took the calls, no answer may contradict the others.
//!
//! The scripts of the clients come from a seed, which a failure shows; set `HISTORY_SEED`
//! to run it again. The seed does not determine how the clients overlap, so run it several
//! times.

mod check;

use std::collections::HashMap;
use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use crate::postgres::{MASTER_KEY, on};

use self::check::Answer::{No, Unknown, Yes};
use self::check::{Action, Answer, Event, History, Owner};

const HISTORIES: u64 = 6;
const CLIENTS: u64 = 6;
const STEPS: usize = 60;
const USERS: usize = 3;

#[test]
fn histories_of_parallel_clients_are_consistent() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    histories(&[server], command(home.path()), WITH_GRACE);
}

#[test]
fn histories_of_parallel_clients_without_a_grace_are_consistent() {
    let home = folder();
    let server = strict(Options::new().home(home.path())).start();
    histories(&[server], command(home.path()), STRICT);
}

#[test]
fn histories_of_clients_of_two_processes_on_one_file_are_consistent() {
    let home = folder();
    let servers = [(); 2].map(|()| Options::new().home(home.path()).start());
    histories(&servers, command(home.path()), WITH_GRACE);
}

#[test]
fn histories_of_clients_of_two_processes_are_consistent() {
    on_postgres(|options| options, WITH_GRACE);
}

#[test]
fn histories_of_clients_of_two_processes_without_a_grace_are_consistent() {
    on_postgres(strict, STRICT);
}

const STRICT: bool = true;
const WITH_GRACE: bool = false;

fn strict(options: Options) -> Options {
    options.env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")
}

fn on_postgres(set: fn(Options) -> Options, is_strict: bool) {
    let url = database();
    let home = folder();
    let mut operator = command(home.path());
    operator.env("USER_AUTH_STORE", &url);
    operator.env("USER_AUTH_MASTER_KEY", MASTER_KEY);
    let servers = [(); 2].map(|()| set(on(&url)).start());
    histories(&servers, operator, is_strict);
}

/// Runs and checks some histories. `operator` starts the program in the environment of the
/// servers.
fn histories(servers: &[Server], mut operator: Command, is_strict: bool) {
    let server = &servers[0];
    let admin = server.new_session("admin");
    let assigned = operator
        .args(["call", "assign_role", "username=admin", "role=admin"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&assigned.stderr);
    assert!(assigned.status.success(), "{said}");
    let admin = admin["access_token"].as_str().unwrap();
    let role = json!({"role": "clerk", "permissions": ["billing:read"], "access_token": admin});
    server.call("define_role", role).unwrap();

    let first_seed = match env::var("HISTORY_SEED") {
        Ok(seed) => seed.parse().expect("HISTORY_SEED is a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros() as u64,
    };
    let mut refreshed = 0;
    for seed in first_seed..first_seed + HISTORIES {
        let history = run(servers, admin, seed, is_strict);
        if let Err(wrong) = history.check() {
            panic!("HISTORY_SEED={seed}: {wrong}");
        }
        refreshed += history.count(|what| matches!(what, Action::Refresh(_)), Yes);
        // A history in which nothing ends proves nothing.
        assert!(history.count(|what| matches!(what, Action::Verify(_)), No) > 0);
    }
    assert!(refreshed > 0);
    assert_chains_intact(server, admin);
}

/// One history in progress: its clients, the tokens they share, and the answers.
struct Run<'a> {
    servers: &'a [Server],
    admin: &'a str,
    users: Vec<String>,
    clock: AtomicU64,
    tokens: Mutex<Vec<Token>>,
    events: Mutex<Vec<Event>>,
}

#[derive(Clone)]
struct Token {
    owner: Owner,
    access: Value,
    refresh: Value,
}

fn run(servers: &[Server], admin: &str, seed: u64, is_strict: bool) -> History {
    let run = Run {
        servers,
        admin,
        users: (0..USERS)
            .map(|user| format!("user{user}-{seed}"))
            .collect(),
        clock: AtomicU64::new(1),
        tokens: Mutex::default(),
        events: Mutex::default(),
    };
    for (user, username) in run.users.iter().enumerate() {
        let account = json!({"username": username, "password": PASSWORD});
        run.servers[0].call("register", account).unwrap();
        run.login(user);
    }
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let run = &run;
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_mul(1000) + client);
                for _ in 0..STEPS {
                    run.step(&mut random);
                }
            });
        }
    });
    // Last of all, without parallel calls.
    let tokens = run.tokens.lock().unwrap().len();
    for token in 0..tokens {
        run.with_token(Action::Verify(token), token);
    }
    let tokens = run.tokens.into_inner().unwrap();
    assert_not_forked(&tokens);
    History {
        is_strict,
        events: run.events.into_inner().unwrap(),
        tokens: tokens.into_iter().map(|token| token.owner).collect(),
    }
}

impl Run<'_> {
    fn step(&self, random: &mut Random) {
        let user = random.below(USERS);
        // Other clients use the most recent tokens at the same time.
        let count = self.tokens.lock().unwrap().len();
        let token = count - 1 - random.below(count.min(8));
        match random.below(100) {
            0..6 => self.login(user),
            6..35 => self.with_token(Action::Refresh(token), token),
            35..70 => self.with_token(Action::Verify(token), token),
            70..78 => self.with_token(Action::Check(token), token),
            78..82 => self.with_token(Action::Logout(token), token),
            82..85 => self.with_token(Action::RevokeOthers(token), token),
            85..86 => self.with_token(Action::ChangePassword(token), token),
            86..88 => self.administer(Action::Disable(user), user),
            88..93 => self.administer(Action::Enable(user), user),
            93..97 => self.administer(Action::Assign(user), user),
            _ => self.administer(Action::Revoke(user), user),
        }
    }

    fn login(&self, user: usize) {
        let input = json!({"username": self.users[user], "password": PASSWORD});
        let (mut event, output) = self.call(Action::Login(user), "login", input);
        if let Some(output) = output {
            self.keep(&event, user, None, &output);
            event.answer = Yes;
        }
        self.events.lock().unwrap().push(event);
    }

    fn with_token(&self, what: Action, number: usize) {
        let token = self.tokens.lock().unwrap()[number].clone();
        let (operation, input) = match what {
            Action::Refresh(_) => ("refresh_token", json!({"refresh_token": token.refresh})),
            Action::Logout(_) => ("logout", json!({"access_token": token.access})),
            Action::Verify(_) => ("verify_token", json!({"token": token.access})),
            Action::Check(_) => (
                "check_permission",
                json!({"token": token.access, "permission": "billing:read"}),
            ),
            Action::ChangePassword(_) => (
                "change_password",
                json!({
                    "access_token": token.access,
                    "current_password": PASSWORD,
                    "new_password": PASSWORD,
                }),
            ),
            _ => (
                "revoke_other_sessions",
                json!({"access_token": token.access}),
            ),
        };
        let (mut event, output) = self.call(what, operation, input);
        if let Some(output) = output {
            let said = match what {
                Action::Verify(_) => output["active"] == true,
                Action::Check(_) => output["allowed"] == true,
                _ => true,
            };
            event.answer = if said { Yes } else { No };
            if let Action::Refresh(_) = what {
                self.keep(&event, token.owner.user, Some(token.owner.session), &output);
            }
        }
        self.events.lock().unwrap().push(event);
    }

    fn administer(&self, what: Action, user: usize) {
        let mut input = json!({"username": self.users[user], "access_token": self.admin});
        let operation = match what {
            Action::Disable(_) => "disable_user",
            Action::Enable(_) => "enable_user",
            Action::Assign(_) => "assign_role",
            _ => "revoke_role",
        };
        if matches!(what, Action::Assign(_) | Action::Revoke(_)) {
            input["role"] = json!("clerk");
        }
        let (mut event, output) = self.call(what, operation, input);
        if output.is_some() {
            event.answer = Yes;
        }
        self.events.lock().unwrap().push(event);
    }

    /// Returns the event, and the output on success.
    fn call(&self, what: Action, operation: &str, input: Value) -> (Event, Option<Value>) {
        let invoked = self.clock.fetch_add(1, Ordering::SeqCst);
        // Each call goes to the next server, whatever it concerns.
        let server = &self.servers[invoked as usize % self.servers.len()];
        let result = server.call(operation, input);
        let answered = self.clock.fetch_add(1, Ordering::SeqCst);
        let (answer, output) = match result {
            Ok(output) => (Unknown, Some(output)),
            Err(error) => (refused(&error), None),
        };
        let event = Event {
            invoked,
            answered,
            what,
            answer,
        };
        (event, output)
    }

    fn keep(&self, event: &Event, user: usize, session: Option<usize>, output: &Value) {
        let mut tokens = self.tokens.lock().unwrap();
        let owner = Owner {
            user,
            session: session.unwrap_or(tokens.len()),
            answered: event.answered,
        };
        tokens.push(Token {
            owner,
            access: output["access_token"].clone(),
            refresh: output["refresh_token"].clone(),
        });
    }
}

/// Asserts that no session has two refresh tokens of one generation: both would be current
/// for whoever holds them.
fn assert_not_forked(tokens: &[Token]) {
    const SESSION_AND_GENERATION: usize = 20;
    let mut known = HashMap::new();
    for token in tokens {
        let text = token.refresh.as_str().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix("uar_").unwrap());
        let place = bytes.unwrap()[..SESSION_AND_GENERATION].to_vec();
        let first = *known.entry(place).or_insert(text);
        assert_eq!(first, text, "a session was forked");
    }
}

fn refused(error: &Value) -> Answer {
    match error["code"].as_i64() {
        Some(-32001) => No,
        Some(-32003 | -32004) => Unknown,
        _ => panic!("{error}"),
    }
}

fn assert_chains_intact(server: &Server, admin: &str) {
    let mut after = Value::Null;
    loop {
        let mut input = json!({"access_token": admin});
        if !after.is_null() {
            input["after"] = after;
        }
        let page = server.call("list_users", input).unwrap();
        for user in page["users"].as_array().unwrap() {
            let input = json!({"access_token": admin, "user_id": user["user_id"]});
            let chain = server.call("verify_audit_chain", input).unwrap();
            assert_eq!(chain["intact"], true, "{chain}");
            assert!(chain["examined"].as_u64().unwrap() > 0);
        }
        after = page["next"].clone();
        if after.is_null() {
            return;
        }
    }
}

/// SplitMix64, a generator that is good enough for the scripts.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
