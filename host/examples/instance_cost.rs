//! What a call costs: a fresh instance, one message, its end.
//!
//! `cargo run --release -p user-auth-host --example instance_cost [COMPONENT] [METHOD]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use user_auth_host::api::{McpRequest, Transport};
use user_auth_host::client::NoClient;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Keys, Plugin};

const WARM_UP: usize = 500;
const CALLS: usize = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let component = arguments
        .next()
        .unwrap_or_else(|| "target/release/user-auth.wasm".into());
    let method = arguments.next().unwrap_or_else(|| "ping".into());
    let plugin = Plugin::builder()
        .component(&component)
        .store(Arc::new(MemoryStore::new()))
        .keys(Keys::ephemeral()?)
        .build()?;

    for _ in 0..WARM_UP {
        call(&plugin, &method).await?;
    }
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        call(&plugin, &method).await?;
        times.push(started.elapsed());
    }
    report(&format!("{method}, one at a time"), times);

    let started = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (plugin, method) = (plugin.clone(), method.clone());
            tokio::spawn(async move {
                for _ in 0..CALLS / 16 {
                    call(&plugin, &method).await.map_err(|e| e.to_string())?;
                }
                Ok::<(), String>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let rate = CALLS as f64 / started.elapsed().as_secs_f64();
    println!("{method}, 16 at a time: {rate:.0} a second");
    Ok(())
}

async fn call(plugin: &Plugin, method: &str) -> Result<(), Box<dyn std::error::Error>> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
    let request = McpRequest {
        transport: Transport::Http,
        headers: Vec::new(),
        peer: None,
        body: body.into_bytes(),
    };
    let response = plugin.handle(request, Arc::new(NoClient)).await?;
    match response.status {
        200 => Ok(()),
        status => Err(format!("status {status}: {:?}", response.body).into()),
    }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    println!(
        "{name}: mean {mean:?}, p50 {:?}, p95 {:?}, p99 {:?}",
        at(50),
        at(95),
        at(99)
    );
}
