//! Four processes on one database behave like one.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::postgres::{self, Postgres};
use user_auth_tests::{PASSWORD, Server, command, folder};

use super::{MASTER_KEY, four, four_on, on};

const CALLERS: usize = 24;

/// Sends one call from all callers in parallel, spread over all processes, and returns the
/// answers.
fn at_once(servers: &[Server], operation: &str, arguments: &Value) -> Vec<Result<Value, Value>> {
    let barrier = Barrier::new(CALLERS);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    servers[caller % servers.len()].call(operation, arguments.clone())
                })
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    })
}

fn winners(answers: &[Result<Value, Value>]) -> Vec<&Value> {
    answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok())
        .collect()
}

#[test]
fn exactly_one_of_parallel_registrations_over_four_processes_wins() {
    let servers = four_on(&postgres::database());
    for round in 0..3 {
        let account = json!({"username": format!("alice{round}"), "password": PASSWORD});
        let answers = at_once(&servers, "register", &account);
        assert_eq!(winners(&answers).len(), 1);
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(error["code"], -32000, "{error}");
        }
        for server in &servers {
            server.call("login", account.clone()).unwrap();
        }
    }
}

#[test]
fn exactly_one_of_parallel_refreshes_over_four_processes_wins_without_a_grace() {
    let url = postgres::database();
    let servers = four(|| on(&url).env("USER_AUTH_REFRESH_GRACE_SECONDS", "0"));
    for round in 0..3 {
        let tokens = servers[0].new_session(&format!("alice{round}"));
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        let answers = at_once(&servers, "refresh_token", &refresh);
        let won = winners(&answers);
        assert_eq!(won.len(), 1);
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_eq!(error["code"], -32001, "{error}");
        }
        // The other calls replayed a used token, which ends the session everywhere.
        let token = json!({"token": won[0]["access_token"]});
        for server in &servers {
            let answer = server.call("verify_token", token.clone()).unwrap();
            assert_eq!(answer, json!({"active": false}));
        }
    }
}

#[test]
fn parallel_refreshes_over_four_processes_all_return_the_same_successor() {
    let servers = four_on(&postgres::database());
    for round in 0..3 {
        let tokens = servers[0].new_session(&format!("alice{round}"));
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        let answers = at_once(&servers, "refresh_token", &refresh);
        let won = winners(&answers);
        assert_eq!(won.len(), CALLERS, "{answers:?}");
        for (answer, server) in won.iter().zip(servers.iter().cycle().skip(1)) {
            assert_eq!(answer["refresh_token"], won[0]["refresh_token"]);
            let token = json!({"token": answer["access_token"]});
            let verified = server.call("verify_token", token).unwrap();
            assert_eq!(verified["active"], true);
        }
        let next = json!({"refresh_token": won[0]["refresh_token"]});
        servers[3].call("refresh_token", next).unwrap();
    }
}

#[test]
fn failed_logins_are_counted_over_four_processes() {
    let servers = four_on(&postgres::database());
    servers[0].new_session("alice");
    let guess = json!({"username": "alice", "password": "a wrong one of that length"});
    let answers = at_once(&servers, "login", &guess);
    let codes: Vec<i64> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap_err()["code"].as_i64().unwrap())
        .collect();
    let told_wrong = codes.iter().filter(|code| **code == -32001).count();
    assert_eq!(told_wrong, 10, "{codes:?}");
    let right = json!({"username": "alice", "password": PASSWORD});
    for server in &servers {
        let error = server.call("login", right.clone()).unwrap_err();
        assert_eq!(error["code"], -32003, "{error}");
    }
}

#[test]
fn an_audit_chain_written_by_four_processes_is_intact() {
    let servers = four_on(&postgres::database());
    let tokens = servers[0].new_session("alice");
    // The first record is the registration, the second the login.
    let mut records = 2;
    for _ in 0..4 {
        let login = json!({"username": "alice", "password": PASSWORD});
        let logins: Vec<Value> = thread::scope(|scope| {
            let logins: Vec<_> = servers
                .iter()
                .map(|server| scope.spawn(|| server.call("login", login.clone()).unwrap()))
                .collect();
            logins
                .into_iter()
                .map(|login| login.join().unwrap())
                .collect()
        });
        thread::scope(|scope| {
            for (login, server) in logins.iter().zip(servers.iter().cycle().skip(1)) {
                scope.spawn(move || {
                    let token = json!({"access_token": login["access_token"]});
                    server.call("logout", token).unwrap();
                });
            }
        });
        records += 8;
    }
    for server in &servers {
        let token = json!({"access_token": tokens["access_token"]});
        let chain = server.call("verify_audit_chain", token).unwrap();
        assert_eq!(chain["intact"], true, "{chain}");
        assert_eq!(chain["examined"], records, "{chain}");
    }
}

#[test]
fn a_database_is_bound_to_the_first_master_key() {
    let url = postgres::database();
    let _server = on(&url).start();
    let home = folder();
    let run = |key: Option<&str>| {
        let mut command = command(home.path());
        command.args(["call", "get_capabilities", "--store", &url]);
        command.envs(key.map(|key| ("USER_AUTH_MASTER_KEY", key)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    assert_eq!(run(Some(MASTER_KEY)).0, Some(0));
    let (code, text) = run(Some(&MASTER_KEY.replace('0', "f")));
    assert_eq!(code, Some(3));
    assert!(text.contains("another master key"), "{text}");
    let (code, text) = run(None);
    assert_eq!(code, Some(3));
    for said in ["USER_AUTH_MASTER_KEY", "--master-key-file", "openssl rand"] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn a_missing_key_file_is_not_generated() {
    let home = folder();
    let key = home.path().join("master.key");
    let url = postgres::database();
    let run = || {
        let mut command = command(home.path());
        command.args(["call", "get_capabilities", "--store", &url]);
        command.arg("--master-key-file").arg(&key);
        command.output().unwrap()
    };
    assert_eq!(run().status.code(), Some(3));
    assert!(!key.exists());
    std::fs::write(&key, MASTER_KEY).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, private).unwrap();
    let output = run();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn no_message_contains_the_database_password() {
    let home = folder();
    let server = Postgres::start_new();
    let url = server.database();
    let other_password = url.replace(":p%2Fw%20of", ":another%20secret%20of");
    assert_ne!(other_password, url);
    let run = |store: &str| {
        let mut command = command(home.path());
        command.args(["call", "get_capabilities"]);
        command.env("USER_AUTH_STORE", store);
        command.env("USER_AUTH_MASTER_KEY", MASTER_KEY);
        command.env("RUST_LOG", "trace");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !text.contains("secret") && !text.contains("the%20tests"),
            "{text}"
        );
        assert!(!text.contains(postgres::PASSWORD), "{text}");
        (output.status.code(), text)
    };
    assert_eq!(run(&url).0, Some(0));
    let (code, text) = run(&other_password);
    assert_eq!(code, Some(3));
    assert!(text.contains("password authentication failed"), "{text}");
    let (code, text) = run("postgres://me:secret@db.example:secret/x");
    assert_eq!(code, Some(3));
    assert!(text.contains("postgres://USER"), "{text}");
    // The log of a server names its database.
    let serving = on(&url).env("RUST_LOG", "trace").start();
    serving.new_session("alice");
    let (_, log) = serving.stop();
    assert!(!log.contains("the%20tests") && !log.contains(postgres::PASSWORD));
    server.stop();
    let (code, text) = run(&url);
    assert_eq!(code, Some(3));
    assert!(text.contains("postgres://postgres:***@127.0.0.1"), "{text}");
}
