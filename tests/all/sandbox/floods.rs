//! Large amounts of calls and data that are allowed in small amounts.

use std::fs;

use super::{assert_ended, assert_unharmed, built, deed, folder, hostile, options};

#[test]
fn a_flood_of_log_lines_is_truncated() {
    let server = hostile();
    assert_eq!(deed(&server, "log").0, 200);
    assert_unharmed(&server, "log");
    let (_, log) = server.stop();
    assert!(log.contains("a call logs too much"), "{log}");
    let flood = log.matches("flood").count() * "flood".len();
    assert!(flood > 10_000 && flood <= 64 << 10, "{flood} bytes");
}

#[test]
fn a_flood_of_notifications_is_cut_and_the_response_arrives() {
    let server = hostile();
    let accept = [("accept", "application/json, text/event-stream")];
    let answer = server.post(&accept, r#""notifications""#);
    assert_eq!(answer.status, 200);
    let sent = answer.text.len();
    assert!(sent > 500_000 && sent < 1_200_000, "{sent} bytes");
    let last = answer.text.trim_end().lines().last().unwrap();
    assert!(last.contains(r#""did":"notifications""#), "{last}");
    assert_unharmed(&server, "notifications");
}

/// The names of counted operations are kept for as long as the server runs.
#[test]
fn unknown_operations_with_long_names_fill_neither_log_nor_memory() {
    let home = folder();
    let audit = home.path().join("audit.jsonl");
    let server = options(&built("user-auth-hostile.wasm"))
        .arg("--audit-log")
        .arg(audit.to_str().unwrap())
        .start();
    assert_eq!(deed(&server, "operations").0, 200);
    assert_unharmed(&server, "operations");
    let metrics = server.get("/metrics", &[]).text;
    assert!(metrics.contains("flood0-"), "{metrics}");
    let longest = metrics.lines().map(str::len).max().unwrap();
    assert!(longest < 1_000, "a line of {longest} bytes");
    let written = fs::read_to_string(&audit).unwrap();
    assert_eq!(written.lines().count(), 100);
    assert!(written.len() < 200_000, "{} bytes", written.len());
}

/// Each counted operation writes a line to the audit log, which people have to read.
#[test]
fn a_call_that_counts_operations_endlessly_is_ended() {
    let home = folder();
    let audit = home.path().join("audit.jsonl");
    let server = options(&built("user-auth-hostile.wasm"))
        .arg("--audit-log")
        .arg(audit.to_str().unwrap())
        .start();
    assert_ended(&server, "many-operations");
    assert_unharmed(&server, "many-operations");
    let written = fs::read_to_string(&audit).unwrap();
    // One more line is for the operation during which the call was ended.
    assert_eq!(written.lines().count(), 1_000 + 1);
}

#[test]
fn an_oversized_message_is_not_queued() {
    let server = hostile();
    let (_, answer) = deed(&server, "message");
    assert_eq!(answer["taken"], false);
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("bytes"), "{reason}");
}
