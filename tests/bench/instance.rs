//! Measures the cost of one call in the sandbox without HTTP: a fresh instance, one
//! message, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use user_auth_host::api::HttpRequest;
use user_auth_host::client::NoClient;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::built;

const WARM_UP: usize = 1_000;
const CALLS: usize = 20_000;

/// Measures, and prints a line.
pub fn measure() -> Result<()> {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral()?)
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
        times.sort_unstable();
        println!(
            "a fresh instance and one call (ping)  {:>8} µs median, {} µs p99",
            microseconds(times[CALLS / 2]),
            microseconds(times[CALLS * 99 / 100])
        );
        Ok(())
    })
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
    let response = plugin.handle_http(request, Arc::new(NoClient)).await?;
    ensure!(response.status == 200, "status {}", response.status);
    Ok(())
}

fn microseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000_000.0)
}
