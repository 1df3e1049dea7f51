//! Sends requests over keep-alive connections, each as soon as the one before it is
//! answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The requests to send, and the number of connections.
pub struct Load {
    address: String,
    connections: usize,
    requests: Arc<Vec<Vec<u8>>>,
}

/// A request.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    pub path: &'a str,
    pub media_type: &'a str,
    /// Its `Authorization`.
    pub credential: Option<&'a str>,
    pub body: &'a str,
}

/// The media type of messages.
pub const JSON: &str = "application/json";

impl<'a> Post<'a> {
    /// A message of MCP.
    fn message(body: &'a str) -> Post<'a> {
        Post {
            path: "/mcp",
            media_type: JSON,
            credential: None,
            body,
        }
    }
}

/// The requests of one connection, each of which may depend on the answer before.
pub trait Script: Send + 'static {
    /// Returns the next request, or `None` if there is no other.
    fn next(&mut self) -> Option<Vec<u8>>;

    /// Takes the body of its answer.
    fn take(&mut self, body: &str) -> Result<()>;
}

/// Requests in turn, beginning with one of them.
struct Turns {
    requests: Arc<Vec<Vec<u8>>>,
    turn: usize,
}

impl Script for Turns {
    fn next(&mut self) -> Option<Vec<u8>> {
        let request = self.requests[self.turn % self.requests.len()].clone();
        self.turn += self.requests.len() + 1;
        Some(request)
    }

    fn take(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The duration of each request.
pub struct Report {
    elapsed: Duration,
    sorted: Vec<Duration>,
}

impl Load {
    /// Creates a load of messages of MCP. Connection n begins with body n and takes the
    /// bodies in turn.
    pub fn new(url: &str, connections: usize, bodies: Vec<String>) -> Load {
        let posts = bodies.iter().map(|body| Post::message(body));
        Load::of(url, connections, posts)
    }

    /// Creates a load of these requests.
    pub fn of<'a>(
        url: &str,
        connections: usize,
        posts: impl IntoIterator<Item = Post<'a>>,
    ) -> Load {
        let address = url.trim_start_matches("http://").to_owned();
        let posts = posts.into_iter();
        let requests = posts.map(|post| request(&address, &post)).collect();
        Load {
            address,
            connections,
            requests: Arc::new(requests),
        }
    }

    /// Creates a load of requests for a page.
    pub fn get(url: &str, connections: usize, path: &str) -> Load {
        let address = url.trim_start_matches("http://").to_owned();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        Load {
            address,
            connections,
            requests: Arc::new(vec![request.into_bytes()]),
        }
    }

    /// Sends requests for this long.
    pub fn run(&self, duration: Duration) -> Result<Report> {
        let scripts = (0..self.connections).map(|turn| Turns {
            requests: Arc::clone(&self.requests),
            turn,
        });
        run(&self.address, scripts.collect(), duration)
    }
}

/// Sends the requests of these scripts, each over a connection of its own, for this long or
/// until none has another request.
pub fn run<S: Script>(address: &str, scripts: Vec<S>, duration: Duration) -> Result<Report> {
    // A single thread, so that the client leaves the machine to the server.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let deadline = started + duration;
        let tasks: Vec<_> = scripts
            .into_iter()
            .map(|script| tokio::spawn(connection(address.to_owned(), script, deadline)))
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

impl Report {
    /// Returns the number of responses.
    pub fn answered(&self) -> usize {
        self.sorted.len()
    }

    /// Returns the responses per second.
    pub fn rate(&self) -> f64 {
        self.sorted.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns the duration that this percentage of the requests did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.sorted[(self.sorted.len() - 1) * percent / 100]
    }
}

/// Sends one request over a new connection.
pub fn exchange_once(mut stream: TcpStream, address: &str, body: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&request(address, &Post::message(body)))?;
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
    mut script: impl Script,
    deadline: Instant,
) -> Result<Vec<Duration>> {
    let mut stream = tokio::net::TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = Vec::with_capacity(16 * 1024);
    while Instant::now() < deadline {
        let Some(request) = script.next() else {
            break;
        };
        let sent = Instant::now();
        stream.write_all(&request).await?;
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
        // A fast wrong answer does not count.
        let answer = String::from_utf8_lossy(&buffer[..answered]);
        ensure!(
            answer.starts_with("HTTP/1.1 200") && !answer.contains(r#""error":"#),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
        script.take(body)?;
        buffer.drain(..answered);
    }
    Ok(times)
}

/// Returns the bytes of a request.
pub fn request(address: &str, post: &Post) -> Vec<u8> {
    let Post {
        path,
        media_type,
        credential,
        body,
    } = post;
    let length = body.len();
    let credential = credential.map(|value| format!("Authorization: {value}\r\n"));
    let credential = credential.unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {media_type}\r\n\
         {credential}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Returns the length of the response in the buffer, once it is complete.
fn length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let header = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    let Some(line) = header
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
    else {
        bail!("the response has no content-length: {header}");
    };
    let body: usize = line.trim().parse().context("content-length")?;
    let length = end + 4 + body;
    Ok((buffer.len() >= length).then_some(length))
}
