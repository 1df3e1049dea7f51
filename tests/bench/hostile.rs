//! `make hostile`: measures how long other callers wait while a component misbehaves.
//!
//! Two callers make a component misbehave, each again as soon as its call has ended.
//! Meanwhile others send requests that do nothing, on four connections to the same server:
//! each of those takes a fresh instance of the same component.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use user_auth_tests::{Options, Server, built, folder, table_bomb};

use crate::load::Load;
use crate::milliseconds;

const DEEDS: [&str; 20] = [
    "loop",
    "memory",
    "recursion",
    "handles",
    "trap",
    "exit",
    "host-calls",
    "print",
    "log",
    "notifications",
    "operations",
    "large-answer",
    "many-headers",
    "not-json",
    "commit-trap",
    "one-name",
    "page",
    "reads",
    "long-names",
    "refusals",
];
const ATTACKERS: usize = 2;
const CONNECTIONS: usize = 4;
const BEFORE: Duration = Duration::from_secs(1);
const DURING: Duration = Duration::from_millis(2_500);

/// Measures all deeds, and prints a table.
pub fn run() -> Result<()> {
    println!("| deed | done | p50 before | p99 before | p50 during | p99 during |");
    println!("|---|---|---|---|---|---|");
    let server = serve(&built("user-auth-hostile.wasm"));
    server.post(&[], r#""fill""#);
    for deed in DEEDS {
        measure(&server, deed)?;
    }
    let folder = folder();
    let path = folder.path().join("table.wasm");
    std::fs::write(&path, table_bomb())?;
    measure_with(&serve(&path), "table", None)
}

fn serve(component: &Path) -> Server {
    Options::new()
        .store("memory")
        .arg("--component")
        .arg(&component.display().to_string())
        .start()
}

fn measure(server: &Server, deed: &str) -> Result<()> {
    measure_with(server, deed, Some(r#"{"did":"nothing","remembered":0}"#))
}

/// Measures one deed. `expected` is the answer to the other callers, if it is checked.
fn measure_with(server: &Server, deed: &str, expected: Option<&str>) -> Result<()> {
    let others = Load::new(&server.url, CONNECTIONS, vec![r#""nothing""#.to_owned()]);
    let before = others.run(BEFORE)?;
    let is_over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    let during = thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // The tests check the outcome of these calls.
                    let _ = server.try_post(&[], format!("{deed:?}"));
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        let during = others.run(DURING);
        is_over.store(true, Relaxed);
        during
    })?;
    let last = server.post(&[], r#""nothing""#);
    ensure!(last.status == 200, "after {deed}: {}", last.status);
    ensure!(
        expected.is_none_or(|expected| last.text == expected),
        "after {deed}: {}",
        last.text
    );
    let done = done.into_inner();
    let times = [&before, &during].map(|report| {
        [50, 99].map(|percent| format!("{} ms", milliseconds(report.percentile(percent))))
    });
    println!("| {deed} | {done} | {} |", times.concat().join(" | "));
    Ok(())
}
