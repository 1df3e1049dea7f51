//! `make profile`: shows which layers of the server take the processor time of one call,
//! by sampling with `perf`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use user_auth_tests::{Options, Server, built, folder};

use crate::load::Load;
use crate::native::processor_time;
use crate::{ping, tool};

const CONNECTIONS: usize = 16;
/// Time for the server to reach its full speed before the sampling begins.
const WARM_UP: Duration = Duration::from_secs(2);
const SAMPLED: Duration = Duration::from_secs(10);
/// Samples a second: a prime, so that no periodic work is in step with them.
const FREQUENCY: &str = "1999";
/// Number of functions shown below the table of layers.
const FUNCTIONS: usize = 25;

/// Measures, and prints a table for each call.
pub fn run() -> Result<()> {
    require_perf()?;
    let component = built("user-auth-names.wasm");
    let server = Options::new()
        .arg("--component")
        .arg(&component.display().to_string())
        .arg("--set")
        .arg("component.perf_map=true")
        .start();
    let tokens = server.new_session("bench");
    let verify = tool("verify_token", json!({"token": tokens["access_token"]}));
    for (name, body) in [("verify_token", verify), ("ping", ping())] {
        profile(name, body, &server)?;
    }
    Ok(())
}

fn require_perf() -> Result<()> {
    let found = Command::new("perf").arg("version").output();
    ensure!(
        found.is_ok_and(|output| output.status.success()),
        "perf is missing: install it (on Debian the package linux-perf)"
    );
    Ok(())
}

fn profile(name: &str, body: String, server: &Server) -> Result<()> {
    let folder = folder();
    let samples = folder.path().join("perf.data");
    let load = Load::new(&server.url, CONNECTIONS, vec![body]);
    let before = processor_time(server.pid())?;
    let (report, recorded) = thread::scope(|scope| {
        let recorded = scope.spawn(|| record(server.pid(), &samples));
        let report = load.run(WARM_UP + SAMPLED + Duration::from_secs(1));
        (report, recorded.join())
    });
    let report = report?;
    recorded.map_err(|_| anyhow::anyhow!("the thread that runs perf panicked"))??;
    let used = processor_time(server.pid())? - before;
    let per_call = used.as_secs_f64() * 1e6 / report.answered() as f64;
    let functions = functions(&samples)?;
    println!("{name}: {per_call:.0} µs of processor time a call, on {CONNECTIONS} connections\n");
    print_layers(&functions, per_call);
    print_functions(&functions);
    Ok(())
}

fn record(process: u32, samples: &Path) -> Result<()> {
    thread::sleep(WARM_UP);
    let output = Command::new("perf")
        .args(["record", "--quiet", "--freq", FREQUENCY, "--output"])
        .arg(samples)
        .args(["--pid", &process.to_string(), "--", "sleep"])
        .arg(SAMPLED.as_secs().to_string())
        .stdout(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "perf record failed: {text}");
    Ok(())
}

/// One function of the profile, and its share of the samples in percent.
struct Function {
    share: f64,
    object: String,
    symbol: String,
}

/// Reads the profile, with the largest shares first.
fn functions(samples: &Path) -> Result<Vec<Function>> {
    let output = Command::new("perf")
        .args(["report", "--stdio", "--quiet", "--no-children"])
        .args(["--sort", "dso,symbol", "--fields", "overhead,dso,symbol"])
        .args(["--field-separator", "\t", "--input"])
        .arg(samples)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "perf report failed: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| line.contains('\t'));
    let mut functions = lines.map(function).collect::<Result<Vec<_>>>()?;
    functions.sort_by(|one, other| other.share.total_cmp(&one.share));
    Ok(functions)
}

fn function(line: &str) -> Result<Function> {
    let mut fields = line.split('\t').map(str::trim);
    let mut next = || {
        fields
            .next()
            .with_context(|| format!("no function: {line}"))
    };
    Ok(Function {
        share: next()?.trim_end_matches('%').parse()?,
        object: next()?.to_owned(),
        symbol: next()?.to_owned(),
    })
}

impl Function {
    fn layer(&self) -> &'static str {
        let contains = |parts: &[&str]| parts.iter().any(|part| self.symbol.contains(part));
        if self.symbol.starts_with("[k]") {
            return "kernel";
        }
        if self.object.contains(".map") || self.object.contains("[JIT]") {
            return match () {
                () if contains(&["sha2", "hmac", "digest"]) => "component: MAC",
                () if contains(&["json", "serde"]) => "component: JSON",
                () if contains(&["alloc", "mem", "drop_in_place"]) => "component: memory",
                () => "component: rules",
            };
        }
        match () {
            () if contains(&["sqlite", "Sqlite"]) => "store",
            () if contains(&["wasmtime", "wasm_"]) => "sandbox",
            () if contains(&["user_auth_host::http"]) => "policy",
            () if contains(&["user_auth_host"]) => "host",
            () if contains(&["hyper", "http", "axum", "tower"]) => "HTTP",
            () if contains(&["tokio", "mio", "epoll"]) => "runtime",
            () if contains(&["json"]) => "host: JSON",
            () if contains(&["tracing"]) => "tracing",
            () if contains(&["mi_", "alloc", "mem", "drop_in_place"]) => "host: memory",
            () => "other",
        }
    }
}

fn print_layers(functions: &[Function], per_call: f64) {
    let mut layers: BTreeMap<&str, f64> = BTreeMap::new();
    for function in functions {
        *layers.entry(function.layer()).or_default() += function.share;
    }
    let mut layers: Vec<_> = layers.into_iter().collect();
    layers.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    println!("layer                     share    µs a call");
    for (layer, share) in layers {
        println!(
            "{layer:<24}{share:>5.1} %{:>13.1}",
            share * per_call / 100.0
        );
    }
}

fn print_functions(functions: &[Function]) {
    println!("\n share  layer              function");
    for function in functions.iter().take(FUNCTIONS) {
        let symbol: String = function.symbol.chars().take(90).collect();
        println!(
            "{:>5.1} %  {:<18} {symbol}",
            function.share,
            function.layer()
        );
    }
    println!();
}
