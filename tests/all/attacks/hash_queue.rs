//! More passwords than can be hashed, and who has to wait for them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

/// A source that does not flood.
const HOME: &str = "127.0.0.1";
const QUEUE: usize = 4;

/// Starts a server that hashes slowly, has a short queue, and allows so many failures that
/// refusals come from the full queue alone.
fn slow() -> Options {
    Options::new()
        .arg("--set=limits.hash_workers=1")
        .arg(&format!("--set=limits.hash_queue={QUEUE}"))
        .env("USER_AUTH_ARGON2_MEMORY_KIB", "65536")
        .env("USER_AUTH_ARGON2_ITERATIONS", "2")
        .env("USER_AUTH_THROTTLING_FAILURES_PER_SOURCE", "100000")
        .for_a_crowd()
}

fn login(server: &Server, source: &str, username: &str, password: &str) -> Result<Value, i64> {
    let input = json!({"username": username, "password": password});
    let answer = server.call_from(source, "login", input);
    answer.map_err(|error| error["code"].as_i64().unwrap())
}

/// Runs `then` while `source` keeps the queue full with each of these operations in turn.
fn while_flooded(server: &Server, source: &str, operations: &[&str], then: impl FnOnce()) {
    let (over, names) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..QUEUE * 4 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let number = names.fetch_add(1, Relaxed);
                    let operation = operations[number % operations.len()];
                    let input = json!({
                        "username": format!("flood{number}"),
                        "password": "some password of a flood",
                    });
                    let _ = server.call_from(source, operation, input);
                }
            });
        }
        let ends = End(&over);
        until_full(server);
        then();
        drop(ends);
    });
}

/// Ends the flood, also when an assertion fails; otherwise its threads would continue.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn until_full(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = server.resource("mcp://user-auth/metrics");
        if metrics["password_hash"]["waiting"].as_u64() >= Some(QUEUE as u64) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
}

#[test]
fn attempts_refused_by_a_full_queue_are_not_counted_as_guesses() {
    let server = slow().start();
    let tokens = server.new_session("alice");
    let change = |current: &str| {
        let input = json!({
            "access_token": tokens["access_token"],
            "current_password": current,
            "new_password": "another good long password",
        });
        let answer = server.call_from(HOME, "change_password", input);
        answer.unwrap_err()["code"].as_i64().unwrap()
    };
    // The flood comes from the same source, since another's would not displace its
    // attempts.
    while_flooded(&server, HOME, &["login"], || {
        // Twelve refusals of each kind are more than the allowed failures.
        for username in ["alice", "unknown"] {
            let mut refused = 0;
            for _ in 0..1000 {
                let code = match login(&server, HOME, username, PASSWORD) {
                    Ok(_) => continue,
                    Err(code) => code,
                };
                assert_ne!(code, -32003, "{username} after {refused} without a place");
                refused += u32::from(code == -32004);
                if refused == 12 {
                    break;
                }
            }
            assert_eq!(refused, 12, "{username}");
        }
        let mut refused = 0;
        for _ in 0..1000 {
            let code = change("not the password at all");
            assert_ne!(code, -32003, "change_password after {refused}");
            refused += u32::from(code == -32004);
            if refused == 12 {
                break;
            }
        }
        assert_eq!(refused, 12);
    });
    assert!(login(&server, HOME, "alice", PASSWORD).is_ok());
}

#[test]
fn a_source_that_floods_the_queue_does_not_block_others() {
    let server = slow().start();
    server.new_session("alice");
    for operations in [&["register"][..], &["login"], &["register", "login"]] {
        while_flooded(&server, "127.0.5.5", operations, || {
            for number in 0..6 {
                let answer = login(&server, HOME, "alice", PASSWORD);
                assert!(answer.is_ok(), "{operations:?} {number}: {answer:?}");
            }
            let name = format!("bob-{}-{}", operations.len(), operations[0]);
            let account = json!({"username": name, "password": PASSWORD});
            server.call_from(HOME, "register", account).unwrap();
        });
    }
}

#[test]
fn registrations_are_limited_per_source_but_not_for_the_operator() {
    let home = folder();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE", "3")
        .start();
    let register = |source: &str, username: &str| {
        let account = json!({"username": username, "password": PASSWORD});
        server.call_from(source, "register", account)
    };
    for number in 0..3 {
        register("127.0.5.5", &format!("many{number}")).unwrap();
    }
    for username in ["one-more", "many0"] {
        let error = register("127.0.5.5", username).unwrap_err();
        assert_eq!(error["code"], -32003, "{username}: {error}");
        let wait = error["data"]["details"]["retry_after_seconds"].as_u64();
        assert!(wait > Some(0), "{error}");
    }
    register(HOME, "elsewhere").unwrap();
    for number in 0..4 {
        let account = json!({"username": format!("own{number}"), "password": PASSWORD});
        let mut command = command(home.path());
        let called = command
            .args(["call", "register", "--json", &account.to_string()])
            .env("USER_AUTH_THROTTLING_REGISTRATIONS_PER_SOURCE", "3")
            .output()
            .unwrap();
        assert!(called.status.success(), "{called:?}");
    }
    // Parallel registrations count the same.
    let registered = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let register = &register;
                scope.spawn(move || register("127.0.5.6", &format!("parallel{number}")).is_ok())
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        answers.filter(|is_ok| *is_ok).count()
    });
    assert_eq!(registered, 3);
}
