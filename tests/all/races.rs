//! Parallel calls: the store decides, and exactly one wins.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server};

const PARALLEL: usize = 24;

fn servers() -> [Server; 2] {
    [strict().store("memory").start(), strict().start()]
}

/// Returns options of a server where a refresh token works once.
fn strict() -> Options {
    Options::new().env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")
}

fn at_once(server: &Server, operation: &str, arguments: &Value) -> Vec<Result<Value, Value>> {
    this_many_at_once(PARALLEL, server, operation, arguments)
}

fn this_many_at_once(
    parallel: usize,
    server: &Server,
    operation: &str,
    arguments: &Value,
) -> Vec<Result<Value, Value>> {
    let barrier = Barrier::new(parallel);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    server.call(operation, arguments.clone())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn exactly_one_of_parallel_registrations_of_one_name_wins() {
    for server in servers() {
        for round in 0..3 {
            let account = json!({"username": format!("alice{round}"), "password": PASSWORD});
            let answers = at_once(&server, "register", &account);
            let won = answers.iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(won, 1);
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_eq!(error["code"], -32000, "{error}");
            }
            server.call("login", account).unwrap();
        }
    }
}

#[test]
fn exactly_one_of_parallel_refreshes_of_one_token_wins() {
    for server in servers() {
        for round in 0..3 {
            let tokens = server.new_session(&format!("alice{round}"));
            let refresh = json!({"refresh_token": tokens["refresh_token"]});
            let answers = at_once(&server, "refresh_token", &refresh);
            let won: Vec<&Value> = answers
                .iter()
                .filter_map(|answer| answer.as_ref().ok())
                .collect();
            assert_eq!(won.len(), 1);
            for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                assert_eq!(error["code"], -32001, "{error}");
            }
            // The other calls replayed a used token, which ends the session.
            let token = json!({"token": won[0]["access_token"]});
            assert_eq!(
                server.call("verify_token", token).unwrap(),
                json!({"active": false})
            );
        }
    }
}

#[test]
fn parallel_guesses_are_throttled_like_sequential_ones() {
    for server in servers() {
        server.new_session("alice");
        let guess = json!({"username": "alice", "password": "a wrong one"});
        let answers = at_once(&server, "login", &guess);
        let codes: Vec<i64> = answers
            .iter()
            .map(|answer| answer.as_ref().unwrap_err()["code"].as_i64().unwrap())
            .collect();
        let told_wrong = codes.iter().filter(|code| **code == -32001).count();
        assert_eq!(told_wrong, 10, "{codes:?}");
        assert!(
            codes.iter().all(|code| [-32001, -32003].contains(code)),
            "{codes:?}"
        );
        let right = json!({"username": "alice", "password": PASSWORD});
        assert_eq!(server.call("login", right).unwrap_err()["code"], -32003);
    }
}

#[test]
fn parallel_logins_of_one_account_all_succeed() {
    for server in servers() {
        server.new_session("alice");
        let right = json!({"username": "alice", "password": PASSWORD});
        // More parallel logins would be throttled, since they could as well be guesses.
        let answers = this_many_at_once(10, &server, "login", &right);
        for answer in &answers {
            assert!(answer.is_ok(), "{answer:?}");
        }
    }
}
