//! A component that misbehaves causes a clear error for its own request and affects no
//! other request.

mod answers;
mod floods;
#[cfg(target_os = "linux")]
mod greed;
mod loading;
mod probe;
mod records;

use std::path::Path;

use serde_json::{Value, json};
use user_auth_tests::{Options, Server, built, folder, table_bomb};

/// Deeds by which a component harms its own request.
const DEEDS: [&str; 9] = [
    "loop",
    "memory",
    "recursion",
    "handles",
    "trap",
    "exit",
    "host-calls",
    "print",
    "large-answer",
];

fn options(component: &Path) -> Options {
    Options::new()
        .store("memory")
        .arg("--component")
        .arg(component.to_str().unwrap())
}

fn hostile() -> Server {
    options(&built("user-auth-hostile.wasm")).start()
}

fn deed(server: &Server, deed: &str) -> (u16, Value) {
    let answer = server.post(&[], json!(deed).to_string());
    (answer.status, answer.json())
}

/// Asserts that the deed has ended with an error that reveals nothing of what happened.
fn assert_ended(server: &Server, bad: &str) {
    let (status, answer) = deed(server, bad);
    assert_eq!(status, 503, "{bad}");
    assert_eq!(answer["error"]["code"], -32004, "{bad}: {answer}");
    assert_eq!(
        answer["error"]["data"]["module"], "UserAuth",
        "{bad}: {answer}"
    );
    let shown = answer.to_string();
    assert!(
        !shown.contains("wasm") && !shown.contains("trap"),
        "{bad}: {shown}"
    );
}

fn assert_unharmed(server: &Server, by: &str) {
    let (status, answer) = deed(server, "nothing");
    assert_eq!((status, &answer["did"]), (200, &json!("nothing")), "{by}");
}

#[test]
fn misbehaviour_ends_the_request_and_the_next_one_works() {
    let server = hostile();
    for bad in DEEDS {
        assert_ended(&server, bad);
        assert_unharmed(&server, bad);
    }
}

#[test]
fn other_requests_are_answered_while_one_misbehaves() {
    let server = hostile();
    for bad in DEEDS {
        std::thread::scope(|scope| {
            let attacks: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| assert_ended(&server, bad)))
                .collect();
            for _ in 0..20 {
                assert_unharmed(&server, bad);
            }
            for attack in attacks {
                attack.join().unwrap();
            }
        });
    }
}

#[test]
fn endless_table_growth_ends_the_request() {
    let home = folder();
    let path = home.path().join("table.wasm");
    std::fs::write(&path, table_bomb()).unwrap();
    let server = options(&path).start();
    std::thread::scope(|scope| {
        let attacks: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| assert_ended(&server, "table")))
            .collect();
        for _ in 0..20 {
            assert_eq!(server.post(&[], r#""nothing""#).status, 200);
        }
        for attack in attacks {
            attack.join().unwrap();
        }
    });
    let (_, log) = server.stop();
    assert!(log.contains("ran out of memory"), "{log}");
}

#[test]
fn no_call_sees_memory_of_another() {
    let server = hostile();
    for _ in 0..50 {
        assert_eq!(deed(&server, "remember").1["remembered"], 1);
    }
}
