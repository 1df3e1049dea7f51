//! What a component can do with records: a trap around a commit leaves all of it
//! behind, or nothing; and the records of the host are not the component's.

use serde_json::json;
use user_auth_tests::postgres::database;
use user_auth_tests::{Options, Server, folder};

use super::{assert_ended, assert_unharmed, built, deed};
use crate::postgres::on;

/// On each store that is here: what a call wrote to it.
fn servers() -> Vec<Server> {
    let component = built("user-auth-hostile.wasm");
    let start = |options: Options| {
        options
            .arg("--component")
            .arg(component.to_str().unwrap())
            .start()
    };
    vec![start(Options::new().store("memory")), start(Options::new())]
}

/// Both records have the same number: that.
fn number(server: &Server) -> u64 {
    let (_, records) = deed(server, "records");
    let of = |name: &str| records[name].as_u64().unwrap();
    assert_eq!(of("left"), of("right"), "{records}");
    of("left")
}

#[test]
fn a_trap_after_a_commit_leaves_all_of_it_and_after_none_nothing() {
    for server in servers() {
        assert_eq!(deed(&server, "begin").0, 200);
        assert_eq!(number(&server), 1);
        for round in 1..=3 {
            // Its caller gets no answer, and what the store confirmed is there.
            assert_ended(&server, "commit-trap");
            assert_eq!(number(&server), round + 1);
            assert_ended(&server, "conflict-trap");
            assert_eq!(number(&server), round + 1);
            assert_ended(&server, "refused-trap");
            assert_eq!(number(&server), round + 1);
        }
        assert_unharmed(&server, "traps");
    }
}

#[test]
fn nobody_sees_half_of_what_those_write_who_trap() {
    for server in servers() {
        assert_eq!(deed(&server, "begin").0, 200);
        std::thread::scope(|scope| {
            let attacks: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            assert_ended(&server, "commit-trap");
                            assert_ended(&server, "conflict-trap");
                        }
                    })
                })
                .collect();
            let mut last = 1;
            for _ in 0..50 {
                let now = number(&server);
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
            for attack in attacks {
                attack.join().unwrap();
            }
        });
        // Some lose their races, and none writes twice.
        assert!((2..=31).contains(&number(&server)));
        assert_unharmed(&server, "traps");
    }
}

#[test]
fn a_component_neither_sees_nor_touches_the_records_of_its_host() {
    let component = built("user-auth-hostile.wasm");
    let home = folder();
    let url = database();
    for (name, options) in [
        (
            "memory",
            &(|| Options::new().store("memory")) as &dyn Fn() -> Options,
        ),
        ("sqlite", &|| Options::new().home(home.path())),
        ("postgres", &|| on(&url)),
    ] {
        for _ in 0..2 {
            let options = options().arg("--component");
            let server = options.arg(component.to_str().unwrap()).start();
            assert_eq!(deed(&server, "begin").0, 200);
            let (_, answer) = deed(&server, "host-records");
            assert_eq!(answer["done"], json!([]), "{name}");
            let ready = server.get("/ready", &[]);
            assert_eq!(ready.status, 200, "{name}: {}", ready.text);
            // Whatever it did, the next start finds the store as it was.
            server.stop();
        }
    }
}
