//! Measures the cost of one call in the sandbox without HTTP: a fresh instance, one
//! message, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::{Value, json};
use user_auth_host::api::{Caller, HttpRequest, Principal};
use user_auth_host::client::NoClient;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::{PASSWORD, built};

const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;
const SIGNATURES: usize = 5_000;

/// The service that tokens are issued for.
const SERVICE: &str = "https://files.example.com";

/// Measures, and prints a line for each call.
pub fn measure() -> Result<()> {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral()?)
        .setting("USER_AUTH_OTHER_AUDIENCES", SERVICE)
        .build()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut times = Vec::with_capacity(CALLS);
        for number in 0..WARM_UP + CALLS {
            let started = Instant::now();
            ping(&plugin).await?;
            if number >= WARM_UP {
                times.push(started.elapsed());
            }
        }
        print_row("a fresh instance and one call (ping)", times);
        signatures(&plugin).await
    })
}

/// Measures calls with one signature by the import each, which the host makes or verifies,
/// beside a call with a message authentication code.
async fn signatures(plugin: &Plugin) -> Result<()> {
    let anonymous = caller(Principal::Anonymous);
    let credentials = json!({"username": "bench", "password": PASSWORD}).to_string();
    call(plugin, &anonymous, "register", &credentials).await?;
    let tokens = call(plugin, &anonymous, "login", &credentials).await?;
    let own = tokens["access_token"].as_str().context("a token")?;
    let session = caller(Principal::AccessToken(own.to_owned()));
    let issue = json!({"audience": SERVICE}).to_string();
    let issued = call(plugin, &session, "issue_token", &issue).await?;
    let own = json!({"token": own}).to_string();
    let other = json!({"token": issued["access_token"], "audience": SERVICE}).to_string();
    for (name, caller, operation, input) in [
        (
            "issue_token (signs by ES256)",
            &session,
            "issue_token",
            issue,
        ),
        ("verify_token (HS256)", &anonymous, "verify_token", own),
        ("verify_token (ES256)", &anonymous, "verify_token", other),
    ] {
        let mut times = Vec::with_capacity(SIGNATURES);
        for _ in 0..SIGNATURES {
            let started = Instant::now();
            let answer = call(plugin, caller, operation, &input).await?;
            times.push(started.elapsed());
            ensure!(answer["active"] != false, "{answer}");
        }
        print_row(name, times);
    }
    Ok(())
}

fn caller(principal: Principal) -> Caller {
    Caller {
        principal,
        source: None,
    }
}

async fn call(plugin: &Plugin, caller: &Caller, operation: &str, input: &str) -> Result<Value> {
    let answer = plugin.invoke(caller.clone(), operation, input).await?;
    let answer = answer.map_err(|error| anyhow!("{operation}: {}", error.message))?;
    Ok(serde_json::from_str(&answer)?)
}

fn print_row(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{name:<38}{:>8} µs median, {} µs p99",
        microseconds(times[times.len() / 2]),
        microseconds(times[times.len() * 99 / 100])
    );
}

async fn ping(plugin: &Plugin) -> Result<()> {
    let request = HttpRequest {
        method: "POST".to_owned(),
        target: "/mcp".to_owned(),
        authority: None,
        tls: false,
        headers: Vec::new(),
        api_key_header: "X-API-Key".to_owned(),
        peer: None,
        body: br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec(),
    };
    let response = plugin.handle_http(&request, Arc::new(NoClient)).await?;
    ensure!(response.status == 200, "status {}", response.status);
    Ok(())
}

fn microseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000_000.0)
}
