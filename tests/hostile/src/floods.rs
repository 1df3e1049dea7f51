//! Deeds that call the host too often, or with too much data.

use std::hint::black_box;

use crate::user_auth::plugin::delivery::{self, Kind, Message};
use crate::user_auth::plugin::telemetry::{self, Credential, OperationAudit, OperationEvent};
use crate::user_auth::plugin::{client, store};

pub fn host_calls() -> ! {
    loop {
        let _ = black_box(store::get(&["flood".to_owned()]));
    }
}

/// Writes 4 MiB of lines to the log.
pub fn log() {
    let line = "flood".repeat(200);
    for _ in 0..4_000 {
        telemetry::log(telemetry::Severity::Error, &line, "{}");
    }
}

/// Writes 1 MiB to standard output.
pub fn print() {
    let line = "flood".repeat(200);
    for _ in 0..1_000 {
        println!("{line}");
    }
}

/// Sends 4 MiB to the client.
pub fn notifications() {
    let text = "flood".repeat(2_000);
    let flood = format!(r#"{{"jsonrpc":"2.0","method":"flood","params":{{"text":"{text}"}}}}"#);
    for _ in 0..400 {
        client::notify(&flood);
    }
}

/// Reports operations that were never called, with names and callers of 100 KB each.
pub fn operations() {
    for number in 0..100 {
        operation(format!("flood{number}-{}", "x".repeat(100_000)));
    }
}

/// Reports an operation that was never called, by a caller of the same name.
pub fn operation(name: String) {
    telemetry::operation_began(&name);
    telemetry::operation_ended(&OperationEvent {
        operation: name.clone(),
        code: None,
        duration_us: 1,
        audit: Some(OperationAudit {
            credential: Credential::Anonymous,
            actor: Some(name.clone()),
            session_id: Some(name.clone()),
            account: Some(name.clone()),
            input: Some(format!("{{\"text\":\"{name}\"}}")),
        }),
    });
}

/// Returns the host's answer to a message of 1 MB.
pub fn message() -> String {
    let told = delivery::deliver(&Message {
        kind: Kind::PasswordChanged,
        to: "alice@example.com".to_owned(),
        username: "x".repeat(1_000_000),
        user_id: "u".to_owned(),
        code: None,
        expires_at: None,
    });
    match told {
        Ok(()) => r#"{"taken":true}"#.to_owned(),
        Err(unavailable) => format!("{{\"taken\":false,\"reason\":{:?}}}", unavailable.reason),
    }
}
