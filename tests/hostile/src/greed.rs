//! Deeds that ask the host for as much as a call can name, at one time or in total.

use std::hint::black_box;

use crate::user_auth::plugin::password_hash::{self, Argon2Parameters, Function};
use crate::user_auth::plugin::store::{self, Expect, Mutation};
use crate::user_auth::plugin::{client, keys, telemetry};

const MIB: usize = 1 << 20;
/// The prefix of the keys of records with the maximum size.
const LARGE: &str = "hostile/large/";
const LARGE_RECORDS: usize = 100;

// Some imports with their layout in memory, where one text can stand for many.
#[link(wasm_import_module = "user-auth:plugin/store@0.2.0")]
unsafe extern "C" {
    #[link_name = "get"]
    fn raw_get(names: *const [usize; 2], count: usize, answer: *mut [u32; 8]);
}

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.6")]
unsafe extern "C" {
    #[link_name = "subscribe-duration"]
    fn subscribe_duration(nanoseconds: u64) -> i32;
}

#[link(wasm_import_module = "wasi:io/poll@0.2.6")]
unsafe extern "C" {
    #[link_name = "[method]pollable.block"]
    fn block(pollable: i32);
    #[link_name = "poll"]
    fn poll(pollables: *const i32, count: usize, ready: *mut [usize; 2]);
}

#[link(wasm_import_module = "wasi:random/random@0.2.6")]
unsafe extern "C" {
    #[link_name = "get-random-bytes"]
    fn random_bytes(count: u64, bytes: *mut [usize; 2]);
}

fn put(key: String, value: Vec<u8>) -> Mutation {
    Mutation {
        key,
        expect: Expect::Any,
        put: Some(value),
        ttl_ms: None,
    }
}

/// Writes records for other deeds to ask for.
pub fn fill() {
    for number in 0..LARGE_RECORDS {
        let _ = store::commit(&[put(format!("{LARGE}{number}"), vec![1; MIB])]);
    }
}

/// Asks for one record of 1 MiB, six hundred times.
pub fn one_name() {
    let names = vec![format!("{LARGE}0"); 600];
    let _ = black_box(store::get(&names));
}

pub fn many_names() {
    let names = vec![format!("{LARGE}0"); 100_000];
    let _ = black_box(store::get(&names));
}

/// Asks for a page of 100 MiB.
pub fn page() {
    let _ = black_box(store::scan(LARGE, None, 1_000));
}

/// Asks for 120 names of 1 MiB each, all of them the same bytes.
pub fn long_names() {
    let name = vec![b'x'; MIB];
    let names = vec![[name.as_ptr().addr(), name.len()]; 120];
    // SAFETY: the host reads the names, which outlive the call, and writes a result no
    // larger than this.
    unsafe { raw_get(names.as_ptr(), names.len(), &mut [0; 8]) };
}

/// Commits 50 MiB in one batch.
pub fn large_batch() {
    let batch: Vec<Mutation> = (0..50)
        .map(|number| put(format!("hostile/batch/{number}"), vec![1; MIB]))
        .collect();
    let _ = black_box(store::commit(&batch));
}

/// Reads as much as an answer holds, repeatedly.
pub fn reads() -> ! {
    let names: Vec<String> = (0..3).map(|number| format!("{LARGE}{number}")).collect();
    loop {
        let _ = black_box(store::get(&names));
    }
}

/// Writes records endlessly.
pub fn writes() -> ! {
    let mut number = 0;
    loop {
        number += 1;
        let _ = store::commit(&[put(format!("hostile/more/{number}"), vec![1; MIB])]);
    }
}

/// Logs a line of 60 MiB, which repeats one text.
pub fn long_line() {
    let text = "x".repeat(30 * MIB);
    telemetry::log(telemetry::Severity::Error, &text, &text);
}

/// Asks for a code under a label that would be five times as long when escaped.
pub fn long_label() {
    let label = format!("host/{}", "\u{1}".repeat(15 * MIB));
    let _ = black_box(keys::mac(&label, &[]));
}

/// Asks for the code of a message of 15 MiB.
pub fn long_message() {
    let _ = black_box(keys::mac("label", &vec![b'x'; 15 * MIB]));
}

/// Returns the host's answers to requests for codes and hashes that break its rules by
/// little, each with whether it was computed, the reason, and whether a retry helps.
pub fn refused_keys() -> String {
    let (long_label, long_message) = ("x".repeat(513), vec![b'x'; 64 * 1024 + 1]);
    let hash = |pepper: &str| {
        let function = argon2id(8, Some(pepper.to_owned()));
        password_hash::hash(&function, b"password", &[0; 16])
    };
    let answers = [
        keys::mac(&long_label[1..], &long_message[1..]),
        keys::mac(&long_label, b"message"),
        keys::mac("label", &long_message),
        keys::mac("host/root-key", b"message"),
        hash(&long_label),
        hash("host/root-key"),
    ];
    let answers = answers.map(|answer| match answer {
        Ok(bytes) => format!("{{\"bytes\":{}}}", bytes.len()),
        Err(unavailable) => format!(
            "{{\"reason\":{:?},\"helps\":{}}}",
            unavailable.reason,
            unavailable.retry_after_ms.is_some()
        ),
    });
    format!("{{\"answers\":[{}]}}", answers.join(","))
}

fn argon2id(memory_kib: u32, pepper: Option<String>) -> Function {
    Function::Argon2id(Argon2Parameters {
        memory_kib,
        iterations: 1,
        parallelism: 1,
        output_length: 32,
        pepper,
    })
}

/// Returns the host's answer to a password of 10 MiB.
pub fn long_password() -> String {
    let password = vec![b'x'; 10 * MIB];
    match password_hash::hash(&argon2id(8, None), &password, &[0; 16]) {
        Ok(_) => r#"{"taken":true}"#.to_owned(),
        Err(unavailable) => format!("{{\"taken\":false,\"reason\":{:?}}}", unavailable.reason),
    }
}

/// Logs empty lines.
pub fn empty_lines() {
    for _ in 0..9_000 {
        telemetry::log(telemetry::Severity::Error, "", "");
    }
}

/// Makes calls that the host refuses, and might complain about each time.
pub fn refusals() {
    let function = argon2id(u32::MAX, None);
    let bad = "refused ".repeat(60);
    for _ in 0..2_000 {
        let _ = store::get(std::slice::from_ref(&bad));
        let _ = keys::mac("host/refused", &[]);
        let _ = password_hash::hash(&function, b"password", &[0; 16]);
        let _ = crate::floods::message();
    }
}

/// Begins more operations than a call may have.
pub fn many_operations() -> ! {
    loop {
        crate::floods::operation("flood".to_owned());
    }
}

/// Announces request ids of 1 MiB each.
pub fn ids() {
    for number in 0..10 {
        client::started(&format!("\"{number}{}\"", "x".repeat(MIB)));
    }
}

/// Sleeps for an hour.
pub fn sleep() {
    // SAFETY: takes and returns numbers.
    unsafe { block(subscribe_duration(3_600_000_000_000)) };
}

/// Polls one timer, four million times in one list.
pub fn long_poll() {
    // SAFETY: takes and returns numbers.
    let timers = vec![unsafe { subscribe_duration(1) }; 4 << 20];
    // SAFETY: the host reads the handles, which outlive the call, and writes a list.
    unsafe { poll(timers.as_ptr(), timers.len(), &mut [0; 2]) };
}

/// Asks for 1 GiB of random bytes.
pub fn random() {
    // SAFETY: the host writes a list.
    unsafe { random_bytes(1 << 30, &mut [0; 2]) };
}
