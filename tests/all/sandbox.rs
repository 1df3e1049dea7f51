//! A component that misbehaves costs its own request a clear error, and nobody
//! else's anything.

use serde_json::{Value, json};
use user_auth_tests::{Options, Server, built};

fn hostile() -> Server {
    let component = built("user-auth-hostile.wasm");
    Options::new()
        .store("memory")
        .arg("--component")
        .arg(component.to_str().unwrap())
        .start()
}

fn deed(server: &Server, deed: &str) -> (u16, Value) {
    let answer = server.post(&[], json!(deed).to_string());
    (answer.status, answer.json())
}

#[test]
fn whatever_a_component_does_ends_its_request_and_the_next_one_works() {
    let server = hostile();
    for bad in ["loop", "memory", "recursion", "trap", "host-calls"] {
        let (status, answer) = deed(&server, bad);
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
        let (status, answer) = deed(&server, "nothing");
        assert_eq!(
            (status, &answer["did"]),
            (200, &json!("nothing")),
            "after {bad}"
        );
    }
}

#[test]
fn others_are_answered_while_one_loops() {
    let server = hostile();
    std::thread::scope(|scope| {
        let loops: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| deed(&server, "loop").0))
            .collect();
        for _ in 0..20 {
            assert_eq!(deed(&server, "nothing").0, 200);
        }
        for looping in loops {
            assert_eq!(looping.join().unwrap(), 503);
        }
    });
}

#[test]
fn no_call_sees_what_another_left_in_memory() {
    let server = hostile();
    for _ in 0..50 {
        assert_eq!(deed(&server, "remember").1["remembered"], 1);
    }
}
