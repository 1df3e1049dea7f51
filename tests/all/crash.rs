//! Everything acknowledged survives a crash, and nothing is left half written.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::postgres::database;
use user_auth_tests::{Options, PASSWORD, Server, folder};

use crate::postgres::on;

const CLIENTS: usize = 1000;
const KILL_AFTER: usize = 300;
const CHECKERS: usize = 4;

#[test]
fn a_kill_during_a_thousand_registrations_loses_and_splits_none() {
    let home = folder();
    kill_and_check(|| Options::new().home(home.path()).for_a_crowd());
}

#[test]
fn a_kill_during_a_thousand_registrations_on_postgres_loses_and_splits_none() {
    let url = database();
    kill_and_check(|| on(&url).for_a_crowd());
}

#[test]
fn another_process_sees_at_once_what_a_killed_process_has_answered() {
    let home = folder();
    let start = || Options::new().home(home.path()).start();
    let reader = start();
    for round in 0..10 {
        let tokens = reader.new_session(&format!("alice{round}"));
        let token = json!({"token": tokens["access_token"]});
        let is_active = || reader.call("verify_token", token.clone()).unwrap()["active"] == true;
        // The second read may be answered from memory.
        assert!(is_active() && is_active());
        let writer = start();
        let access = json!({"access_token": tokens["access_token"]});
        writer.call("logout", access).unwrap();
        writer.kill();
        assert!(!is_active(), "round {round}");
    }
}

fn kill_and_check(options: impl Fn() -> Options) {
    let server = options().start();
    let acknowledged = Mutex::new(Vec::new());
    let name = |client: usize| format!("user{client}");
    let (progress, answered) = channel();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (server, acknowledged, progress) = (&server, &acknowledged, progress.clone());
            scope.spawn(move || {
                let params = json!({
                    "name": "user-auth_register",
                    "arguments": {"username": name(client), "password": PASSWORD},
                });
                let body =
                    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
                // Each thread registers until its connection breaks; the queue is shorter
                // than the number of threads.
                for _ in 0..1000 {
                    let Ok(answer) = server.try_post(&[], body.to_string()) else {
                        return;
                    };
                    let Ok(answer) = serde_json::from_str::<serde_json::Value>(&answer.text) else {
                        return;
                    };
                    if answer["error"]["code"] == -32004 {
                        continue;
                    }
                    assert!(answer["result"].is_object(), "{answer}");
                    acknowledged.lock().unwrap().push(client);
                    let _ = progress.send(());
                    return;
                }
            });
        }
        drop(progress);
        for _ in 0..KILL_AFTER {
            answered.recv().unwrap();
        }
        let pid = server.pid().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &pid])
            .status();
        assert!(killed.unwrap().success());
    });
    server.kill();

    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= KILL_AFTER && acknowledged.len() < CLIENTS);
    let server = options().start();
    let clients: Vec<usize> = (0..CLIENTS).collect();
    thread::scope(|scope| {
        for clients in clients.chunks(CLIENTS / CHECKERS) {
            let (server, acknowledged) = (&server, &acknowledged);
            scope.spawn(move || {
                for client in clients {
                    let account = json!({"username": name(*client), "password": PASSWORD});
                    let acknowledged = acknowledged.contains(client);
                    if !acknowledged && server.call("register", account.clone()).is_ok() {
                        continue;
                    }
                    // Half an account would hold the name and refuse the password.
                    let login = server.call("login", account);
                    assert!(
                        login.is_ok(),
                        "user{client} is lost or incomplete: {login:?}"
                    );
                }
            });
        }
    });
}

const SESSIONS: usize = 12;
const KILL_AFTER_REFRESHES: usize = 60;
/// How often a server may refuse one client.
const MAX_BUSY: usize = 10_000;

#[test]
fn a_kill_during_refreshes_strands_no_client_and_forks_no_session() {
    let home = folder();
    kill_during_refreshes(|| Options::new().home(home.path()));
}

#[test]
fn a_kill_during_refreshes_on_postgres_strands_no_client_and_forks_no_session() {
    let url = database();
    kill_during_refreshes(|| on(&url));
}

/// Two clients share each session, and refresh it until the server is killed. After that
/// each goes on with the last token that it received, whether or not the killed server had
/// already replaced it.
fn kill_during_refreshes(options: impl Fn() -> Options) {
    // The longest, since a busy machine may take its time to start a server.
    let options = || options().env("USER_AUTH_REFRESH_GRACE_SECONDS", "600");
    let server = options().start();
    let sessions: Vec<Value> = (0..SESSIONS)
        .map(|number| server.new_session(&format!("alice{number}")))
        .collect();
    let (progress, refreshed) = channel();
    let pairs: Vec<[Value; 2]> = thread::scope(|scope| {
        let clients: Vec<_> = sessions
            .iter()
            .map(|session| {
                [(); 2].map(|()| {
                    let (server, progress) = (&server, progress.clone());
                    scope.spawn(move || last_before_the_kill(server, session, &progress))
                })
            })
            .collect();
        drop(progress);
        for _ in 0..KILL_AFTER_REFRESHES {
            refreshed.recv().unwrap();
        }
        let pid = server.pid().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-KILL", &pid])
            .status();
        assert!(killed.unwrap().success());
        clients
            .into_iter()
            .map(|pair| pair.map(|client| client.join().unwrap()))
            .collect()
    });
    server.kill();

    let server = options().start();
    for pair in &pairs {
        let answers = pair.each_ref().map(|refresh_token| {
            let input = json!({"refresh_token": refresh_token});
            server.call("refresh_token", input).unwrap()
        });
        // The first may have been a generation behind the second.
        let again = json!({"refresh_token": pair[0]});
        let again = server.call("refresh_token", again).unwrap();
        assert_eq!(again["refresh_token"], answers[1]["refresh_token"]);
        for answer in &answers {
            let token = json!({"token": answer["access_token"]});
            let verified = server.call("verify_token", token).unwrap();
            assert_eq!(verified["active"], true);
        }
    }
}

/// Refreshes until the connection breaks, and returns the last token that was received.
fn last_before_the_kill(server: &Server, session: &Value, progress: &Sender<()>) -> Value {
    let mut refresh_token = session["refresh_token"].clone();
    let mut busy = 0;
    loop {
        let params = json!({
            "name": "user-auth_refresh_token",
            "arguments": {"refresh_token": refresh_token},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let Ok(answer) = server.try_post(&[], body.to_string()) else {
            return refresh_token;
        };
        let Ok(answer) = serde_json::from_str::<Value>(&answer.text) else {
            return refresh_token;
        };
        let next = &answer["result"]["structuredContent"]["refresh_token"];
        if next.is_string() {
            refresh_token = next.clone();
            let _ = progress.send(());
        } else {
            busy += 1;
            assert!(busy < MAX_BUSY, "{answer}");
        }
    }
}
