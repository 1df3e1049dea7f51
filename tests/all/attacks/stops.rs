//! Many threads of one actor work while another administrator stops it. The actor's changes
//! happen before the answer to the stop, and none after it.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use crate::postgres::{MASTER_KEY, on};

const ROUNDS: usize = 20;
const THREADS: usize = 32;
/// Calls that must have succeeded in a round before its actor is stopped.
const DONE_BEFORE: usize = 16;
/// Exceeds the calls that any thread makes before it is refused.
const CALLS: usize = 500;
/// Roles to assign, as many as an account can have.
const ROLES: usize = 32;
/// Accounts that get roles or keys.
const TARGETS: usize = 8;

/// The work of the actor, repeated with a new target each time.
#[derive(Clone, Copy, Debug)]
enum Work {
    CreateApiKey,
    CreateServiceAccount,
    ImportUsers,
    DefineRole,
    AssignRole,
}

/// The operation that stops the actor.
#[derive(Clone, Copy, Debug)]
enum Stop {
    DisableUser,
    DeleteUser,
    RevokeRole,
    NarrowRole,
    DeleteRole,
    RevokeApiKey,
    RotateApiKey,
    RevokeToken,
    RevokeUserSessions,
    Logout,
    ForcePasswordReset,
    EndSigningKey,
}

/// Combines each kind of work with each kind of stop, some of them twice.
const PAIRS: [(Work, Stop); ROUNDS] = [
    (Work::CreateApiKey, Stop::DisableUser),
    (Work::DefineRole, Stop::RevokeRole),
    (Work::AssignRole, Stop::DeleteUser),
    (Work::ImportUsers, Stop::RevokeApiKey),
    (Work::CreateServiceAccount, Stop::NarrowRole),
    (Work::CreateApiKey, Stop::RevokeUserSessions),
    (Work::DefineRole, Stop::RotateApiKey),
    (Work::AssignRole, Stop::DeleteRole),
    (Work::ImportUsers, Stop::DisableUser),
    (Work::CreateServiceAccount, Stop::Logout),
    (Work::CreateApiKey, Stop::RevokeRole),
    (Work::DefineRole, Stop::RevokeToken),
    (Work::AssignRole, Stop::ForcePasswordReset),
    (Work::ImportUsers, Stop::NarrowRole),
    (Work::CreateServiceAccount, Stop::RevokeApiKey),
    (Work::CreateApiKey, Stop::DeleteRole),
    (Work::DefineRole, Stop::EndSigningKey),
    (Work::AssignRole, Stop::NarrowRole),
    (Work::ImportUsers, Stop::DeleteUser),
    (Work::CreateServiceAccount, Stop::DisableUser),
];

impl Stop {
    /// Returns whether this stops only actors that act by a session.
    fn is_session_only(self) -> bool {
        matches!(
            self,
            Stop::RevokeUserSessions
                | Stop::Logout
                | Stop::ForcePasswordReset
                | Stop::EndSigningKey
        )
    }
}

#[test]
fn attack_31_a_stopped_actor_changes_nothing_after_the_answer() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    rounds(&[server], command(home.path()));
}

#[test]
fn attack_31_a_stopped_actor_changes_nothing_after_the_answer_on_postgresql() {
    let (url, home) = (database(), folder());
    rounds(&[on(&url).start()], operator_of(&url, home.path()));
}

#[test]
fn attack_31_a_stopped_actor_changes_nothing_after_the_answer_in_another_process() {
    let (url, home) = (database(), folder());
    let servers = [on(&url).start(), on(&url).start()];
    rounds(&servers, operator_of(&url, home.path()));
}

fn operator_of(url: &str, home: &std::path::Path) -> Command {
    let mut operator = command(home);
    operator.env("USER_AUTH_STORE", url);
    operator.env("USER_AUTH_MASTER_KEY", MASTER_KEY);
    operator
}

/// Runs all rounds. `operator` starts the program in the environment of the servers.
fn rounds(servers: &[Server], mut operator: Command) {
    let credentials = json!({"username": "root", "password": PASSWORD});
    let root = servers[0].call("register", credentials.clone()).unwrap();
    let assigned = operator
        .args(["call", "assign_role", "username=root", "role=admin"])
        .output()
        .unwrap();
    assert!(assigned.status.success(), "{assigned:?}");
    let tokens = servers[0].call("login", credentials).unwrap();
    let input = json!({"name": "root", "scopes": ["*"], "user_id": root["user_id"],
        "access_token": tokens["access_token"]});
    let key = servers[0].call("create_api_key", input).unwrap();
    let root = Caller {
        server: servers.last().unwrap(),
        header: ("x-api-key", text(&key["api_key"])),
    };
    for number in 0..ROLES {
        let input = json!({"role": format!("shop-{number}"), "permissions": ["shop:read"]});
        root.call("define_role", input).unwrap();
    }
    let mut late = Vec::new();
    for (number, (work, stop)) in PAIRS.into_iter().enumerate() {
        let round = Round::begin(number, work, stop, &root);
        let done_late = round.run(servers, &root);
        if !done_late.is_empty() {
            late.push(format!("{work:?}, {stop:?}: {}", done_late.len()));
        }
    }
    assert!(
        late.is_empty(),
        "{} of {ROUNDS} rounds: {late:#?}",
        late.len()
    );
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Headers of the caller, and the server that it calls.
struct Caller<'a> {
    server: &'a Server,
    header: (&'static str, String),
}

impl Caller<'_> {
    fn call(&self, operation: &str, arguments: Value) -> Result<Value, i64> {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let (name, value) = &self.header;
        let answer = self.server.post(&[(name, value)], body.to_string()).json();
        match answer["error"]["code"].as_i64() {
            Some(code) => Err(code),
            None => Ok(answer["result"]["structuredContent"].clone()),
        }
    }
}

struct Round {
    number: usize,
    work: Work,
    stop: Stop,
    username: String,
    user_id: String,
    credential: (&'static str, String),
    key_id: Option<String>,
    targets: Vec<String>,
}

impl Round {
    /// Begins a round with an actor of its own, whose role permits everything.
    fn begin(number: usize, work: Work, stop: Stop, root: &Caller) -> Round {
        let username = format!("actor-{number}");
        let role = format!("role-of-actor-{number}");
        let everything = json!({"role": role, "permissions": ["*"]});
        root.call("define_role", everything).unwrap();
        let account = if stop.is_session_only() {
            let credentials = json!({"username": username, "password": PASSWORD});
            root.call("register", credentials).unwrap()
        } else {
            let input = json!({"username": username});
            root.call("create_service_account", input).unwrap()
        };
        let user_id = text(&account["user_id"]);
        let input = json!({"user_id": user_id, "role": role});
        root.call("assign_role", input).unwrap();
        let (credential, key_id) = if stop.is_session_only() {
            let credentials = json!({"username": username, "password": PASSWORD});
            let tokens = root.call("login", credentials).unwrap();
            let token = format!("Bearer {}", text(&tokens["access_token"]));
            (("authorization", token), None)
        } else {
            let input = json!({"name": "key", "scopes": ["*"], "user_id": user_id});
            let key = root.call("create_api_key", input).unwrap();
            let credential = ("x-api-key", text(&key["api_key"]));
            (credential, Some(text(&key["key_id"])))
        };
        let targets = (0..TARGETS).map(|target| {
            let input = json!({"username": format!("target-{number}-{target}")});
            let made = root.call("create_service_account", input).unwrap();
            text(&made["user_id"])
        });
        Round {
            number,
            work,
            stop,
            username,
            user_id,
            credential,
            key_id,
            targets: targets.collect(),
        }
    }

    /// Runs the round and returns the changes made after the answer to the stop.
    fn run(&self, servers: &[Server], root: &Caller) -> BTreeSet<String> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let (before, all) = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let actor = Caller {
                        server: &servers[thread % servers.len()],
                        header: self.credential.clone(),
                    };
                    let (next, done) = (&next, &done);
                    scope.spawn(move || self.work(&actor, next, done))
                })
                .collect();
            while done.load(Ordering::SeqCst) < DONE_BEFORE
                && workers.iter().any(|worker| !worker.is_finished())
            {
                thread::yield_now();
            }
            self.stop(root);
            let before = self.found(root);
            let all: BTreeSet<String> = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect();
            (before, all)
        });
        assert!(
            all.len() >= DONE_BEFORE,
            "{:?}: the actor worked",
            self.work
        );
        // The answers do not matter here: anything new in the store since then counts.
        let found = self.found(root);
        assert!(all.is_subset(&found), "{:?} {:?}", self.work, self.stop);
        found.difference(&before).cloned().collect()
    }

    /// Repeats the work until it is refused, and returns what it made.
    fn work(&self, actor: &Caller, next: &AtomicUsize, done: &AtomicUsize) -> Vec<String> {
        let mut made = Vec::new();
        for _ in 0..CALLS {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let (operation, input) = self.step(number);
            match actor.call(operation, input) {
                Ok(output) => {
                    done.fetch_add(1, Ordering::SeqCst);
                    made.push(match self.work {
                        Work::CreateApiKey => text(&output["key_id"]),
                        Work::CreateServiceAccount => text(&output["username"]),
                        Work::ImportUsers => text(&output["users"][0]["username"]),
                        Work::DefineRole => text(&output["role"]),
                        Work::AssignRole => self.assignment(number),
                    });
                }
                Err(-32001 | -32002) => return made,
                // For example an account that already has all the roles it can have.
                Err(_) => {}
            }
        }
        panic!("{:?}: the actor is not stopped", self.stop);
    }

    fn target(&self, number: usize) -> usize {
        number / ROLES % TARGETS
    }

    fn assignment(&self, number: usize) -> String {
        format!("{} {}", self.target(number), number % ROLES)
    }

    fn step(&self, number: usize) -> (&'static str, Value) {
        let name = format!("made-{}-{number}", self.number);
        let target = &self.targets[self.target(number)];
        match self.work {
            Work::CreateApiKey => {
                let target = &self.targets[number % TARGETS];
                let input = json!({"name": name, "scopes": ["*"], "user_id": target});
                ("create_api_key", input)
            }
            Work::CreateServiceAccount => ("create_service_account", json!({"username": name})),
            Work::ImportUsers => ("import_users", json!({"users": [{"username": name}]})),
            Work::DefineRole => ("define_role", json!({"role": name, "permissions": []})),
            Work::AssignRole => {
                let role = format!("shop-{}", number % ROLES);
                ("assign_role", json!({"user_id": target, "role": role}))
            }
        }
    }

    fn stop(&self, root: &Caller) {
        let whom = json!({"user_id": self.user_id});
        let role = format!("role-of-actor-{}", self.number);
        let key = || json!({"key_id": self.key_id.as_ref().unwrap()});
        let secret = self.credential.1.trim_start_matches("Bearer ");
        let (operation, input) = match self.stop {
            Stop::DisableUser => ("disable_user", whom),
            Stop::DeleteUser => ("delete_user", whom),
            Stop::RevokeRole => {
                let input = json!({"user_id": self.user_id, "role": role});
                ("revoke_role", input)
            }
            Stop::NarrowRole => {
                let input = json!({"role": role, "permissions": ["user-auth:audit:read"]});
                ("define_role", input)
            }
            Stop::DeleteRole => ("delete_role", json!({"role": role})),
            Stop::RevokeApiKey => ("revoke_api_key", key()),
            Stop::RotateApiKey => ("rotate_api_key", key()),
            Stop::RevokeToken => ("revoke_token", json!({"token": secret})),
            Stop::RevokeUserSessions => ("revoke_user_sessions", whom),
            Stop::Logout => ("logout", json!({"access_token": secret})),
            Stop::ForcePasswordReset => ("force_password_reset", whom),
            Stop::EndSigningKey => ("rotate_signing_key", json!({"end_previous": true})),
        };
        let answer = root.call(operation, input);
        assert!(
            answer.is_ok(),
            "{operation} on {}: {answer:?}",
            self.username
        );
    }

    /// Returns everything that the actor has made so far.
    fn found(&self, root: &Caller) -> BTreeSet<String> {
        let prefix = format!("made-{}-", self.number);
        match self.work {
            Work::CreateApiKey => {
                let keys = self.targets.iter().flat_map(|target| {
                    let input = json!({"user_id": target});
                    let listed = root.call("list_api_keys", input).unwrap();
                    let keys = listed["api_keys"].as_array().unwrap().clone();
                    keys.into_iter().map(|key| text(&key["key_id"]))
                });
                keys.collect()
            }
            Work::AssignRole => {
                let assigned = self
                    .targets
                    .iter()
                    .enumerate()
                    .flat_map(|(number, target)| {
                        let user = root.call("get_user", json!({"user_id": target})).unwrap();
                        let roles = user["roles"].as_array().unwrap().clone();
                        roles.into_iter().map(move |role| {
                            let role = text(&role).replace("shop-", "");
                            format!("{number} {role}")
                        })
                    });
                assigned.collect()
            }
            Work::DefineRole => {
                let listed = root.call("list_roles", json!({})).unwrap();
                let roles = listed["roles"].as_array().unwrap().iter();
                let names = roles.map(|role| text(&role["role"]));
                names.filter(|name| name.starts_with(&prefix)).collect()
            }
            Work::CreateServiceAccount | Work::ImportUsers => {
                let mut found = BTreeSet::new();
                let mut input = json!({"search": prefix, "limit": 100});
                loop {
                    let page = root.call("list_users", input.clone()).unwrap();
                    let users = page["users"].as_array().unwrap();
                    found.extend(users.iter().map(|user| text(&user["username"])));
                    match page.get("next") {
                        None => return found,
                        Some(next) => input["after"] = next.clone(),
                    }
                }
            }
        }
    }
}
