//! Parallel calls: the store decides. Exactly one wins, or all get the same.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, folder};

const PARALLEL: usize = 24;

fn servers() -> [Server; 2] {
    servers_with(|options| options)
}

fn servers_with(set: impl Fn(Options) -> Options) -> [Server; 2] {
    [
        set(Options::new().store("memory")).start(),
        set(Options::new()).start(),
    ]
}

fn at_once(server: &Server, operation: &str, arguments: &Value) -> Vec<Result<Value, Value>> {
    this_many_at_once(PARALLEL, &[server], operation, arguments)
}

/// Sends one call from all callers in parallel, spread over these servers.
fn this_many_at_once(
    parallel: usize,
    servers: &[&Server],
    operation: &str,
    arguments: &Value,
) -> Vec<Result<Value, Value>> {
    let barrier = Barrier::new(parallel);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parallel)
            .map(|caller| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    servers[caller % servers.len()].call(operation, arguments.clone())
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
fn exactly_one_of_parallel_refreshes_of_one_token_wins_without_a_grace() {
    for server in servers_with(|options| options.env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")) {
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
fn parallel_refreshes_of_one_token_all_return_the_same_successor() {
    let home = folder();
    let on_one_file = [(); 2].map(|()| Options::new().home(home.path()).start());
    let [memory, file] = servers();
    for servers in [
        &[&memory][..],
        &[&file],
        &[&on_one_file[0], &on_one_file[1]],
    ] {
        for round in 0..3 {
            let first = servers[0].new_session(&format!("alice{round}"));
            let refresh = json!({"refresh_token": first["refresh_token"]});
            let answers = this_many_at_once(PARALLEL, servers, "refresh_token", &refresh);
            let won: Vec<&Value> = answers
                .iter()
                .map(|answer| answer.as_ref().unwrap())
                .collect();
            for answer in &won {
                assert_eq!(answer["refresh_token"], won[0]["refresh_token"]);
                let token = json!({"token": answer["access_token"]});
                let verified = servers[0].call("verify_token", token).unwrap();
                assert_eq!(verified["active"], true);
            }
            let next = json!({"refresh_token": won[0]["refresh_token"]});
            servers[0].call("refresh_token", next).unwrap();
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
        let answers = this_many_at_once(10, &[&server], "login", &right);
        for answer in &answers {
            assert!(answer.is_ok(), "{answer:?}");
        }
    }
}
