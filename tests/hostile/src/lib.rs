//! A component that fits the contract and does what a component must not do:
//! which of it, the body of the request says.

#![cfg(target_family = "wasm")]

use std::hint::black_box;

wit_bindgen::generate!({
    world: "plugin",
    path: "../../wit",
});

use exports::user_auth::plugin::{auth, forward_auth, maintenance, mcp};
use user_auth::plugin::{store, types};

struct Hostile;

export!(Hostile);

impl mcp::Guest for Hostile {
    fn handle(request: mcp::Request) -> mcp::Response {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let deed = body.trim_matches(['"', '\n']);
        match deed {
            "loop" => endless_loop(),
            "memory" => memory_bomb(),
            "recursion" => black_box(recursion(1)),
            "trap" => std::process::abort(),
            "host-calls" => host_call_flood(),
            "large-answer" => {
                return answer(200, vec![b' '; 48 * 1024 * 1024]);
            }
            "remember" => remember(),
            // In a message that has an id.
            message if message.contains(r#""method":"loop""#) => endless_loop(),
            _ => 0,
        };
        answer(
            200,
            format!("{{\"did\":\"{deed}\",\"remembered\":{}}}", remembered()).into_bytes(),
        )
    }
}

impl forward_auth::Guest for Hostile {
    fn verify(_: Vec<mcp::Field>, _: Option<String>, _: Option<String>) -> mcp::Response {
        std::process::abort()
    }
}

fn answer(status: u16, body: Vec<u8>) -> mcp::Response {
    mcp::Response {
        status,
        headers: Vec::new(),
        body: Some(body),
    }
}

fn endless_loop() -> u64 {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn memory_bomb() -> u64 {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1024 * 1024]));
    }
}

#[allow(unconditional_recursion)]
fn recursion(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    black_box(recursion(depth + 1)) + frame[63]
}

fn host_call_flood() -> u64 {
    loop {
        let _ = black_box(store::get(&["flood".to_owned()]));
    }
}

static REMEMBERED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn remember() -> u64 {
    REMEMBERED.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn remembered() -> u64 {
    REMEMBERED.load(std::sync::atomic::Ordering::Relaxed)
}

fn refused<T>() -> Result<T, types::Error> {
    Err(types::Error {
        code: -32000,
        message: "hostile".to_owned(),
        operation: "hostile".to_owned(),
        timestamp: String::new(),
        details: "{}".to_owned(),
    })
}

impl auth::Guest for Hostile {
    fn register(_: auth::Caller, _: auth::Registration) -> Result<auth::Account, auth::Error> {
        refused()
    }

    fn login(_: auth::Caller, _: String, _: String) -> Result<auth::LoginOutcome, auth::Error> {
        refused()
    }

    fn complete_login(_: auth::Caller, _: String, _: String) -> Result<auth::Tokens, auth::Error> {
        refused()
    }

    fn verify_token(_: auth::Caller, _: String) -> Result<Option<auth::Claims>, auth::Error> {
        refused()
    }

    fn refresh(_: auth::Caller, _: String) -> Result<auth::Tokens, auth::Error> {
        refused()
    }

    fn logout(_: auth::Caller, _: String) -> Result<(), auth::Error> {
        refused()
    }

    fn check_permission(_: auth::Caller, _: String) -> Result<bool, auth::Error> {
        refused()
    }

    fn invoke(_: auth::Caller, _: String, _: String) -> Result<String, auth::Error> {
        refused()
    }

    fn operations() -> String {
        "[]".to_owned()
    }
}

impl maintenance::Guest for Hostile {
    fn sweep(_: Option<String>, _: u32) -> Result<maintenance::Swept, maintenance::Unavailable> {
        Ok(maintenance::Swept {
            examined: 0,
            deleted: 0,
            next: None,
        })
    }
}
