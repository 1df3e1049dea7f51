//! `make bench`: measures the waiting times of a user of the program from outside through
//! HTTP, and the cost of one call in the sandbox from inside.
//!
//! Client and server share the machine, so the rates are those of both together.

mod edge;
mod hash;
mod hostile;
mod instance;
mod load;
mod native;
mod oauth;
mod profile;
mod scale;
mod soak;

use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, folder, postgres};

use load::{JSON, Load, Post, Report};

const STARTS: usize = 11;
const FOR: Duration = Duration::from_secs(4);
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Enough accounts that parallel logins are not all of one account.
const ACCOUNTS: usize = 64;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => rates(),
        ["doors"] => doors(),
        ["edge"] => edge::measure(),
        ["oauth"] => oauth::measure(),
        ["sandbox"] => native::measure(),
        // Only the measurement above starts this.
        ["native", port] => native::serve(port.parse()?),
        ["soak", seconds, plot] => soak::run(seconds.parse()?, None, Path::new(plot)),
        ["soak", seconds, plot, store] => soak::run(seconds.parse()?, Some(store), Path::new(plot)),
        ["scale", users] => scale::run(users.parse()?),
        ["hostile"] => hostile::run(),
        ["profile"] => profile::run(),
        _ => bail!(
            "expected no arguments, or: doors, or: sandbox, or: edge, or: oauth, or: soak SECONDS PLOT.svg [STORE], or: scale USERS, or: hostile, or: profile"
        ),
    }
}

fn rates() -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    println!("{cores} cores; {} for each rate\n", seconds(FOR));
    first_answer()?;
    instance::measure()?;

    let server = Server::start();
    println!(
        "memory at rest                        {:>8} MiB",
        resident(&server)?
    );
    print_head();
    calls(&server, "")?;
    without_mcp()?;
    with_audit_log()?;
    logins(&server, cores)?;
    println!(
        "\nmemory after all of it                {:>8} MiB",
        resident(&server)?
    );
    println!(
        "memory at its peak                    {:>8} MiB",
        peak(&server)?
    );
    drop(server);
    native::measure()?;
    edge::measure()?;
    oauth::measure()?;
    on_postgres()
}

/// Measures a signature in a call, and a verification by each of its doors.
fn doors() -> Result<()> {
    instance::measure()?;
    print_head();
    calls(&Server::start(), "")?;
    without_mcp()
}

/// Measures the time from the start of the process to the answer to its first MCP request,
/// with compiled code in the cache.
fn first_answer() -> Result<()> {
    let home = folder();
    let mut times = Vec::new();
    for _ in 0..=STARTS {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut command = user_auth_tests::command(home.path());
        command.args(["serve", "--listen", &address]);
        command.stderr(std::process::Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let answered = loop {
            ensure!(
                started.elapsed() < Duration::from_secs(30),
                "the server did not start"
            );
            match TcpStream::connect(&address) {
                Ok(stream) => break load::exchange_once(stream, &address, &ping()),
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        };
        times.push(started.elapsed());
        child.kill()?;
        child.wait()?;
        answered?;
    }
    // The first start may have had to compile.
    times.remove(0);
    times.sort();
    let median = times[times.len() / 2];
    let slowest = times[times.len() - 1];
    println!(
        "first answer after start              {:>8} ms median, {} ms at most, of {STARTS}",
        milliseconds(median),
        milliseconds(slowest)
    );
    Ok(())
}

/// Measures the same calls on a server that writes an audit log.
fn with_audit_log() -> Result<()> {
    let folder = folder();
    let file = folder.path().join("audit.jsonl");
    let options = Options::new().arg("--audit-log");
    let server = options.arg(&file.display().to_string()).start();
    calls(&server, ", audit log")
}

fn calls(server: &Server, and: &str) -> Result<()> {
    let tokens = server.new_session("bench");
    let verify = tool("verify_token", json!({"token": tokens["access_token"]}));
    for (name, body) in [("ping", ping()), ("verify_token", verify)] {
        let name = &format!("{name}{and}");
        for connections in CONNECTIONS {
            let load = Load::new(&server.url, connections, vec![body.clone()]);
            print_row(name, connections, &load.run(FOR)?);
        }
    }
    for connections in CONNECTIONS {
        let load = Load::get(&server.url, connections, "/jwks");
        print_row(&format!("/jwks{and}"), connections, &load.run(FOR)?);
    }
    Ok(())
}

/// Measures the same verification by its other doors.
fn without_mcp() -> Result<()> {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let tokens = server.new_session("bench");
    let token = tokens["access_token"].as_str().context("a token")?;
    let key = introspection_key(home.path())?;
    let (bearer, key) = (format!("Bearer {token}"), format!("Bearer {key}"));
    let input = json!({"token": token});
    let call = tool("introspect_token", input.clone());
    let (input, form) = (input.to_string(), format!("token={token}"));
    let post = |path, media_type, credential, body| Post {
        path,
        media_type,
        credential,
        body,
    };
    let form_type = "application/x-www-form-urlencoded";
    for (name, post) in [
        (
            "/api/verify_token",
            post("/api/verify_token", JSON, None, &*input),
        ),
        // Both verify the API key of their caller as well.
        (
            "introspect_token, key",
            post("/mcp", JSON, Some(&*key), &call),
        ),
        (
            "/introspect, key",
            post("/introspect", form_type, Some(&key), &form),
        ),
        ("/verify", post("/verify", JSON, Some(&bearer), "")),
    ] {
        for connections in CONNECTIONS {
            let load = Load::of(&server.url, connections, [post]);
            print_row(name, connections, &load.run(FOR)?);
        }
    }
    Ok(())
}

/// Creates a service that may introspect, and returns its API key.
fn introspection_key(home: &Path) -> Result<String> {
    let operate = |operation: &str, input: Value| -> Result<Value> {
        let mut command = user_auth_tests::command(home);
        command.args(["call", operation, "--json", &input.to_string()]);
        let output = command.stdin(std::process::Stdio::null()).output()?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{operation}: {problem}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let scopes = json!(["user-auth:tokens:introspect"]);
    let role = json!({"role": "service", "permissions": scopes});
    operate("define_role", role)?;
    let account = operate("create_service_account", json!({"username": "service"}))?;
    let assigned = json!({"username": "service", "role": "service"});
    operate("assign_role", assigned)?;
    let key = json!({"name": "service", "user_id": account["user_id"], "scopes": scopes});
    let key = operate("create_api_key", key)?;
    let key = key["api_key"].as_str().context("a key")?;
    Ok(key.to_owned())
}

/// Measures calls that wait for the database, with PostgreSQL on the same machine.
fn on_postgres() -> Result<()> {
    let server = Options::new()
        .store(&postgres::database())
        .env("USER_AUTH_MASTER_KEY", &"5a".repeat(32))
        .start();
    println!("\non PostgreSQL           connections   a second        p50        p99");
    let tokens = server.new_session("bench");
    let verify = tool("verify_token", json!({"token": tokens["access_token"]}));
    let logins = accounts(&server)?;
    for (name, bodies) in [("verify_token", vec![verify]), ("login", logins)] {
        for connections in CONNECTIONS {
            let load = Load::new(&server.url, connections, bodies.clone());
            print_row(name, connections, &load.run(FOR)?);
        }
    }
    Ok(())
}

/// Measures logins and plain Argon2id on all cores in turn, so that a change of the
/// machine's speed affects both.
fn logins(server: &Server, cores: usize) -> Result<()> {
    let bodies = accounts(server)?;
    for connections in CONNECTIONS {
        let mut ratios = Vec::new();
        for _ in 0..3 {
            // One connection keeps at most one core busy.
            let native = hash::rate(cores.min(connections), FOR);
            let load = Load::new(&server.url, connections, bodies.clone());
            let report = load.run(FOR)?;
            print_row("login", connections, &report);
            println!(
                "  native Argon2id       {:>11} {native:>10.1}",
                cores.min(connections)
            );
            ratios.push(report.rate() / native);
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "  login to native       {connections:>11} {:>9.1} %  (median of 3)",
            ratios[1] * 100.0
        );
    }
    Ok(())
}

/// Registers accounts, and returns the requests that log them in.
fn accounts(server: &Server) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    for number in 0..ACCOUNTS {
        let credentials = json!({"username": format!("bench{number}"), "password": PASSWORD});
        let registered = server.call("register", credentials.clone());
        registered.map_err(|error| anyhow::anyhow!("{error}"))?;
        bodies.push(tool("login", credentials));
    }
    Ok(bodies)
}

fn print_head() {
    println!("\n                        connections   a second        p50        p99");
}

fn print_row(name: &str, connections: usize, report: &Report) {
    println!(
        "{name:<24}{connections:>11} {:>10.1} {:>7} ms {:>7} ms",
        report.rate(),
        milliseconds(report.percentile(50)),
        milliseconds(report.percentile(99))
    );
}

fn ping() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string()
}

fn tool(operation: &str, arguments: Value) -> String {
    let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

fn resident(server: &Server) -> Result<u64> {
    status(server, "VmRSS:")
}

fn peak(server: &Server) -> Result<u64> {
    status(server, "VmHWM:")
}

fn status(server: &Server, field: &str) -> Result<u64> {
    memory(server.pid(), field)
}

/// Returns the memory of a process in MiB, of which there are several readings.
fn memory(pid: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).context("memory is measured on Linux only")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line.context(path)?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}
