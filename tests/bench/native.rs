//! The price of the sandbox: the code of the component, compiled natively behind the same
//! HTTP library, beside the server that runs it in a fresh instance for each request.
//!
//! The native server keeps its records in memory and has no policy for callers, so the
//! ratios say at most what the sandbox costs.

use std::convert::Infallible;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use user_auth_guest::http::{self, Request};
use user_auth_guest::testing::World;
use user_auth_tests::Server;

use crate::load::Load;
use crate::{ping, tool};

const CONNECTIONS: usize = 16;
const FOR: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// Measures both servers in turn, and prints a line for each call.
pub fn measure() -> Result<()> {
    println!("\n                              sandbox     native     ratio");
    let sandbox = Server::start();
    let tokens = sandbox.new_session("bench");
    let verify = tool("verify_token", json!({"token": tokens["access_token"]}));
    let native = Native::start()?;
    let alice = World::with_alice();
    let native_verify = json!({"token": alice.tokens_of_alice()["access_token"]});
    let native_verify = tool("verify_token", native_verify);
    for (name, bodies) in [
        ("ping", [ping(), ping()]),
        ("verify_token", [verify, native_verify]),
    ] {
        let [first, second] = bodies;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push((
                per_call(sandbox.pid(), &sandbox.url, &first)?,
                per_call(native.process.id(), &native.url, &second)?,
            ));
        }
        times.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
        let (sandbox, native) = times[ROUNDS / 2];
        println!(
            "{name:<24}{sandbox:>10.1} µs {native:>7.1} µs {:>8.2}",
            sandbox / native
        );
    }
    Ok(())
}

/// Returns the processor time of the server for one call, in microseconds.
fn per_call(process: u32, url: &str, body: &str) -> Result<f64> {
    let load = Load::new(url, CONNECTIONS, vec![body.to_owned()]);
    let before = processor_time(process)?;
    let report = load.run(FOR)?;
    let used = processor_time(process)? - before;
    Ok(used.as_secs_f64() * 1e6 / report.answered() as f64)
}

/// Returns the processor time that a process has used.
pub fn processor_time(process: u32) -> Result<Duration> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).context("processor time is measured on Linux only")?;
    // The name of the program, in parentheses, may contain spaces.
    let (_, fields) = text.rsplit_once(')').context(path)?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // proc_pid_stat(5): fields 14 and 15, counted from 1, of which two precede these.
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // USER_HZ, the unit of that file, is 100 on all processors that this runs on.
    let per_second = 100;
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

/// The native server, a process of its own so that its processor time can be told.
struct Native {
    process: Child,
    url: String,
}

impl Native {
    fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(std::env::current_exe()?)
            .args(["native", &port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        let native = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(native);
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("the native server did not start")
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves until the process is killed. Each thread has a world of its own, in which the same
/// user has the same tokens, and accepts connections from one socket.
pub fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let threads = thread::available_parallelism()?.get();
    let threads: Vec<_> = (0..threads)
        .map(|_| listener.try_clone())
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .map(|listener| thread::spawn(|| accept(listener)))
        .collect();
    for ended in threads {
        ended
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(())
}

fn accept(listener: TcpListener) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let world: &'static World = Box::leak(Box::new(World::with_alice()));
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| answer(world, peer, request));
                // An error here means that the client has gone.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}

async fn answer(
    world: &World,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(hyper::Response::default());
    };
    let body = body.to_bytes().to_vec();
    let headers = parts.headers.iter();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        target: parts.uri.to_string(),
        authority: None,
        tls: false,
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        api_key_header: "X-API-Key".to_owned(),
        peer: Some(peer.ip().to_string()),
    };
    let answered = http::answer(&request, || Some(body), &world.settings, world.ports());
    // What tests look at would fill the memory.
    world.ended.borrow_mut().clear();
    world.store_calls.borrow_mut().clear();
    world.notifications.borrow_mut().clear();
    let mut response = hyper::Response::new(Full::from(answered.body.unwrap_or_default()));
    if let Ok(status) = hyper::StatusCode::from_u16(answered.status) {
        *response.status_mut() = status;
    }
    for (name, value) in answered.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.try_into()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
