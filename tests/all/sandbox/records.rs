//! A component that traps around a commit leaves all of it behind, or nothing.

use user_auth_tests::{Options, Server};

use super::{assert_ended, assert_unharmed, built, deed};

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
