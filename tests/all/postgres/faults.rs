//! The server away, locked or full: callers are told so at once, nothing that was
//! acknowledged is lost, and it goes on by itself.

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
/// Longer than all that the store waits for, and so only the end of a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the answer is that something is away; otherwise it is what was asked for.
#[track_caller]
fn is_away(answer: &Result<Value, Value>) -> bool {
    let Err(error) = answer else {
        return false;
    };
    assert_eq!(error["code"], -32004, "{error}");
    let seconds = &error["data"]["details"]["retry_after_seconds"];
    assert!(seconds.as_u64() >= Some(1), "{error}");
    says_nothing_of_the_inside(&error.to_string());
    true
}

#[track_caller]
fn says_nothing_of_the_inside(shown: &str) {
    let shown = shown.to_lowercase();
    for inside in ["select", "postgres", "127.0.0.1", "connection"] {
        assert!(!shown.contains(inside), "{shown}");
    }
}

/// Reads the session as a resource, where the status of HTTP says how that ended.
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
fn a_server_that_goes_away_and_comes_back_loses_nothing_that_was_acknowledged() {
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
                        let away = is_away(&server.call("register", account(client, number)));
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
fn while_all_connections_are_busy_callers_are_told_so_and_then_it_goes_on() {
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
                scope.spawn(|| assert!(is_away(&server.call("verify_token", verify.clone()))));
            }
        });
        let answer = read_session(&server, &tokens);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["error"]["code"], -32004, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        says_nothing_of_the_inside(&answer.text);
        // What waits for a lock gives up: it does not pile up at the server.
        let waiting = "SELECT count(*) <= 1 FROM pg_stat_activity
                       WHERE application_name = 'user-auth' AND state = 'active'";
        assert_eq!(database.sql("postgres", waiting), "t");
    }
    let answer = server.call("verify_token", verify);
    assert!(!is_away(&answer));
    assert_eq!(answer.unwrap()["active"], true);
    assert_eq!(read_session(&server, &tokens).status, 200);
}

#[test]
fn a_write_that_another_program_holds_up_is_given_up() {
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
        assert!(is_away(&server.call("login", credentials.clone())));
    }
    assert!(!is_away(&server.call("login", credentials.clone())));
}

#[test]
fn sessions_that_the_server_ends_are_replaced() {
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
        // The news of the end and the next call may cross.
        let mut answers = 0;
        while is_away(&server.call("verify_token", verify.clone())) {
            answers += 1;
            assert!(answers <= 16);
        }
    }
}
