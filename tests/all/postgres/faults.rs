//! The database server down, locked or full: callers get an error at once, no acknowledged
//! change is lost, and the service recovers by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use user_auth_tests::postgres::{self, Postgres};
use user_auth_tests::{Answer, PASSWORD, Server};

use super::on;

const CLIENTS: usize = 8;
/// Longer than any timeout of the store, so that it only ends a failing test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns whether the answer reports an unavailable resource; otherwise asserts that it is
/// a success.
#[track_caller]
fn is_unavailable(answer: &Result<Value, Value>) -> bool {
    let Err(error) = answer else {
        return false;
    };
    assert_eq!(error["code"], -32004, "{error}");
    let seconds = &error["data"]["details"]["retry_after_seconds"];
    assert!(seconds.as_u64() >= Some(1), "{error}");
    assert_no_internals(&error.to_string());
    true
}

#[track_caller]
fn assert_no_internals(shown: &str) {
    let shown = shown.to_lowercase();
    for inside in ["select", "postgres", "127.0.0.1", "connection"] {
        assert!(!shown.contains(inside), "{shown}");
    }
}

/// Reads the session as a resource, where the HTTP status shows the outcome.
fn read_session(server: &Server, tokens: &Value) -> Answer {
    let session_id = tokens["session_id"].as_str().unwrap();
    let uri = format!("mcp://user-auth/sessions/{session_id}");
    let params = json!({"uri": uri, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": params});
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [
        ("authorization", bearer.as_str()),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "resources/read"),
        ("mcp-name", uri.as_str()),
    ];
    server.post(&headers, body.to_string())
}

fn account(client: usize, number: usize) -> Value {
    json!({"username": format!("user{client}-{number}"), "password": PASSWORD})
}

#[test]
fn a_restarted_database_server_loses_no_acknowledged_change() {
    for crash in [false, true] {
        let database = Postgres::start_new();
        let url = database.database();
        let servers = [0, 1].map(|_| on(&url).for_a_crowd().start());
        let (stop, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let (progress, events) = channel();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (servers, stop, acknowledged) = (&servers, &stop, &acknowledged);
                let progress = progress.clone();
                scope.spawn(move || {
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let server = &servers[client % 2];
                        let away =
                            is_unavailable(&server.call("register", account(client, number)));
                        if !away {
                            acknowledged.lock().unwrap().push((client, number));
                        }
                        let _ = progress.send(away);
                    }
                });
            }
            let wait_for = |away: bool, count: usize| {
                let mut seen = 0;
                while seen < count {
                    seen += usize::from(events.recv_timeout(PATIENCE).unwrap() == away);
                }
            };
            wait_for(false, 20);
            if crash {
                database.crash()
            } else {
                database.stop()
            }
            wait_for(true, 20);
            database.start();
            wait_for(false, 20);
            stop.store(true, Ordering::Relaxed);
        });
        let acknowledged = acknowledged.into_inner().unwrap();
        assert!(acknowledged.len() >= 40);
        for (client, number) in acknowledged {
            let login = servers[(client + 1) % 2].call("login", account(client, number));
            assert!(login.is_ok(), "user{client}-{number} is gone: {login:?}");
        }
    }
}

#[test]
fn busy_connections_cause_errors_until_they_are_free_again() {
    let database = Postgres::start_new();
    let url = database.database();
    let server = on(&format!("{url}?pool_size=1")).start();
    let tokens = server.new_session("alice");
    let verify = json!({"token": tokens["access_token"]});
    {
        let _locked = database.session(
            "test0",
            "BEGIN; LOCK TABLE user_auth.records IN ACCESS EXCLUSIVE MODE;",
        );
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    assert!(is_unavailable(&server.call("verify_token", verify.clone())))
                });
            }
        });
        let answer = read_session(&server, &tokens);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["error"]["code"], -32004, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        assert_no_internals(&answer.text);
        // Calls that wait for a lock give up, so they do not pile up at the database
        // server.
        let waiting = "SELECT count(*) <= 1 FROM pg_stat_activity
                       WHERE application_name = 'user-auth' AND state = 'active'";
        assert_eq!(database.sql("postgres", waiting), "t");
    }
    let answer = server.call("verify_token", verify);
    assert!(!is_unavailable(&answer));
    assert_eq!(answer.unwrap()["active"], true);
    assert_eq!(read_session(&server, &tokens).status, 200);
}

#[test]
fn a_write_blocked_by_another_program_times_out() {
    let database = Postgres::start_new();
    let url = database.database();
    let server = on(&url).start();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    server.call("register", credentials.clone()).unwrap();
    {
        let _locked = database.session(
            "test0",
            "BEGIN; LOCK TABLE user_auth.records IN SHARE MODE;",
        );
        assert!(is_unavailable(&server.call("login", credentials.clone())));
    }
    assert!(!is_unavailable(&server.call("login", credentials.clone())));
}

#[test]
fn connections_closed_by_the_database_server_are_replaced() {
    let url = postgres::database();
    let server = on(&url).start();
    let tokens = server.new_session("alice");
    let verify = json!({"token": tokens["access_token"]});
    let database = url.rsplit('/').next().unwrap();
    for _ in 0..3 {
        postgres::shared().sql(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                 WHERE datname = '{database}'"
            ),
        );
        // The notice of the end and the next call may cross.
        let mut answers = 0;
        while is_unavailable(&server.call("verify_token", verify.clone())) {
            answers += 1;
            assert!(answers <= 16);
        }
    }
}
