//! A component that misbehaves costs its own request a clear error, and nobody
//! else's anything.

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

/// What a component can do to a request of its own.
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

/// The deed has ended with an error that tells nothing of what happened.
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
fn whatever_a_component_does_ends_its_request_and_the_next_one_works() {
    let server = hostile();
    for bad in DEEDS {
        assert_ended(&server, bad);
        assert_unharmed(&server, bad);
    }
}

#[test]
fn others_are_answered_while_one_misbehaves() {
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
fn a_table_that_grows_without_end_ends_its_request() {
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
fn no_call_sees_what_another_left_in_memory() {
    let server = hostile();
    for _ in 0..50 {
        assert_eq!(deed(&server, "remember").1["remembered"], 1);
    }
}
