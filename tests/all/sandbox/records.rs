//! The power of a component over records: a trap around a commit leaves all of it or
//! nothing, and the records of the host are out of reach.

use serde_json::json;
use user_auth_tests::postgres::database;
use user_auth_tests::{Options, Server, folder};

use super::{assert_ended, assert_unharmed, built, deed};
use crate::postgres::on;

/// Starts servers with the hostile component, on the memory store and on SQLite.
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

/// Returns the number that both records have.
fn number(server: &Server) -> u64 {
    let (_, records) = deed(server, "records");
    let of = |name: &str| records[name].as_u64().unwrap();
    assert_eq!(of("left"), of("right"), "{records}");
    of("left")
}

#[test]
fn a_trap_leaves_a_commit_applied_fully_or_not_at_all() {
    for server in servers() {
        assert_eq!(deed(&server, "begin").0, 200);
        assert_eq!(number(&server), 1);
        for round in 1..=3 {
            // The caller gets no response, but the confirmed commit is there.
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
fn readers_never_see_partial_writes_of_trapping_calls() {
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
        // Some calls lose their races, and none writes twice.
        assert!((2..=31).contains(&number(&server)));
        assert_unharmed(&server, "traps");
    }
}

#[test]
fn a_component_cannot_read_or_write_the_records_of_its_host() {
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
            // Whatever the component did, the next start finds the store unchanged.
            server.stop();
        }
    }
}
