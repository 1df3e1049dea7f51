//! Bounds on what the host holds, logs and waits for when a component asks for too much.

use std::fs;

use user_auth_tests::postgres::database;

use super::{Options, Server, assert_ended, assert_unharmed, built, deed, hostile, options};
use crate::postgres::on;

/// Deeds that would make the host hold more than its limit at one time.
const GREEDY: [&str; 9] = [
    "one-name",
    "many-names",
    "page",
    "long-names",
    "large-batch",
    "long-line",
    "long-label",
    "long-message",
    "reads",
];
const ATTACKERS: usize = 3;
/// The most memory that one of them may use: the memory of its instance, and the data that
/// passes between it and the host.
const MIB: u64 = 64 + 20;

fn with(options: Options) -> Server {
    let component = built("user-auth-hostile.wasm");
    options
        .arg("--component")
        .arg(component.to_str().unwrap())
        .start()
}

/// Returns a number of `/proc/PID/status`, which are in KiB, in MiB.
fn mib(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim_matches([':', '\t', ' ', 'k', 'B']);
    kib.parse::<u64>().unwrap() / 1024
}

/// Resets the peak to the current memory and returns that.
fn reset_peak(server: &Server) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    mib(server, "VmHWM")
}

fn assert_grown_at_most(mib: u64, server: &Server, before: u64, by: &str) {
    let grown = self::mib(server, "VmHWM").saturating_sub(before);
    assert!(grown <= mib, "{by}: {grown} MiB more than {before}");
}

/// Has several callers do the deed while others are answered.
fn while_others_are_answered(server: &Server, bad: &str) {
    std::thread::scope(|scope| {
        let attacks: Vec<_> = (0..ATTACKERS)
            .map(|_| scope.spawn(|| assert_ended(server, bad)))
            .collect();
        for _ in 0..10 {
            assert_unharmed(server, bad);
            assert_eq!(server.get("/health", &[]).status, 200, "{bad}");
        }
        for attack in attacks {
            attack.join().unwrap();
        }
    });
    assert_unharmed(server, bad);
}

fn assert_bounded(server: Server) {
    assert_eq!(deed(&server, "fill").0, 200);
    for bad in GREEDY {
        let before = reset_peak(&server);
        assert_ended(&server, bad);
        assert_grown_at_most(MIB, &server, before, bad);
        while_others_are_answered(&server, bad);
    }
}

#[test]
fn greedy_requests_use_bounded_memory_with_the_memory_store() {
    assert_bounded(with(Options::new().store("memory")));
}

#[test]
fn greedy_requests_use_bounded_memory_with_sqlite() {
    assert_bounded(with(Options::new()));
}

#[test]
fn greedy_requests_use_bounded_memory_with_postgresql() {
    assert_bounded(with(on(&database())));
}

/// A store in memory uses the host's memory.
#[test]
fn a_call_that_writes_endlessly_is_ended() {
    let bounds = ["--set", "limits.store_bytes_per_call=33554432"];
    let options = bounds
        .iter()
        .fold(Options::new(), |it, bound| it.arg(bound));
    let server = with(options.store("memory"));
    let before = reset_peak(&server);
    assert_ended(&server, "writes");
    assert_grown_at_most(MIB + 32, &server, before, "writes");
    assert_unharmed(&server, "writes");
    let (_, log) = server.stop();
    assert!(log.contains("too much"), "{log}");
}

#[test]
fn refused_requests_cost_no_memory_and_few_log_lines() {
    let server = hostile();
    let before = reset_peak(&server);
    assert_eq!(deed(&server, "refusals").0, 200);
    assert_eq!(deed(&server, "empty-lines").0, 200);
    assert_eq!(deed(&server, "ids").0, 200);
    let (_, answer) = deed(&server, "long-password");
    assert_eq!(answer["taken"], false);
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("length of password"), "{reason}");
    assert_unharmed(&server, "refusals");
    assert_grown_at_most(MIB, &server, before, "refusals");
    let (_, log) = server.stop();
    assert!(log.contains("a call logs too much"), "{log}");
    // Two calls that log as much as they can.
    assert!(log.len() < 300_000, "{} bytes", log.len());
}

#[test]
fn the_host_rejects_long_labels_long_messages_and_its_own_labels() {
    let server = hostile();
    let (status, answer) = deed(&server, "refused-keys");
    assert_eq!(status, 200, "{answer}");
    let answers = &answer["answers"];
    assert_eq!(answers[0]["bytes"], 32, "the longest label and message");
    for (number, reason) in [
        (1, "a label has 513 bytes"),
        (2, "a message to authenticate has 65537 bytes"),
        (3, "\"host/root-key\" is reserved"),
        (4, "a label has 513 bytes"),
        (5, "\"host/root-key\" is reserved"),
    ] {
        let answer = &answers[number];
        let given = answer["reason"].as_str().unwrap_or_default();
        assert!(given.contains(reason), "{number}: {answer}");
        assert_eq!(answer["helps"], false, "{number}: {answer}");
    }
    assert_unharmed(&server, "refused-keys");
}

#[test]
fn a_call_that_waits_endlessly_or_for_too_many_events_is_ended() {
    let server = options(&built("user-auth-hostile.wasm"))
        .arg("--set")
        .arg("limits.wall_clock_per_call_ms=1000")
        .start();
    for bad in ["sleep", "long-poll", "random", "many-operations"] {
        while_others_are_answered(&server, bad);
    }
    let (_, log) = server.stop();
    assert!(log.contains("did not respond in time"), "{log}");
    assert!(log.contains("called the host too often"), "{log}");
}
