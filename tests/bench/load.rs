//! Requests over keep-alive connections, each sent when the one before it is
//! answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What to send, over how many connections.
pub struct Load {
    address: String,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
}

/// How long each request took.
pub struct Report {
    elapsed: Duration,
    sorted: Vec<Duration>,
}

impl Load {
    /// Connection number n begins with body number n and takes them in turn.
    pub fn new(url: &str, connections: usize, bodies: Vec<String>) -> Load {
        let address = url.trim_start_matches("http://").to_owned();
        let requests = bodies.iter().map(|body| request(&address, body)).collect();
        Load {
            address,
            connections,
            requests: Arc::new(requests),
        }
    }

    /// Sends for so long.
    pub fn run(&self, duration: Duration) -> Result<Report> {
        // One thread: the client must leave the machine to the server.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let started = Instant::now();
            let deadline = started + duration;
            let tasks: Vec<_> = (0..self.connections)
                .map(|number| {
                    let requests = Arc::clone(&self.requests);
                    tokio::spawn(connection(self.address.clone(), requests, number, deadline))
                })
                .collect();
            let mut sorted = Vec::new();
            for task in tasks {
                sorted.extend(task.await??);
            }
            let elapsed = started.elapsed();
            sorted.sort_unstable();
            ensure!(!sorted.is_empty(), "no request was answered");
            Ok(Report { elapsed, sorted })
        })
    }
}

impl Report {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// What so many percent of the requests did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.sorted[(self.sorted.len() - 1) * percent / 100]
    }
}

/// One request over a new connection.
pub fn exchange_once(mut stream: TcpStream, address: &str, body: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&request(address, body))?;
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    while length(&buffer)?.is_none() {
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "the server closed the connection");
        buffer.extend_from_slice(&chunk[..read]);
    }
    Ok(())
}

async fn connection(
    address: String,
    requests: Arc<Vec<Vec<u8>>>,
    number: usize,
    deadline: Instant,
) -> Result<Vec<Duration>> {
    let mut stream = tokio::net::TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut turn = number;
    while Instant::now() < deadline {
        let sent = Instant::now();
        stream.write_all(&requests[turn % requests.len()]).await?;
        turn += requests.len() + 1;
        let answered = loop {
            if let Some(length) = length(&buffer)? {
                break length;
            }
            ensure!(
                stream.read_buf(&mut buffer).await? > 0,
                "the server closed the connection"
            );
        };
        times.push(sent.elapsed());
        // A fast wrong answer is no answer.
        let answer = String::from_utf8_lossy(&buffer[..answered]);
        ensure!(
            answer.starts_with("HTTP/1.1 200") && !answer.contains(r#""error":"#),
            "{answer}"
        );
        buffer.drain(..answered);
    }
    Ok(times)
}

fn request(address: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How long the answer in the buffer is, once it is there whole.
fn length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let header = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    let Some(line) = header
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
    else {
        bail!("an answer without a length: {header}");
    };
    let body: usize = line.trim().parse().context("content-length")?;
    let length = end + 4 + body;
    Ok((buffer.len() >= length).then_some(length))
}
