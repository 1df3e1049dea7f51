//! Clients that disconnect, never finish, or arrive by the thousand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpSocket;
use user_auth_tests::{Options, PASSWORD, Server};

/// How long a server may take to recover.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_disconnect_during_registration_leaves_a_complete_account_or_none() {
    let server = Options::new().for_a_crowd().start();
    let names: Vec<String> = (0..40).map(|number| format!("user{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let request = registration(&server, name);
        let mut stream = connect(&server);
        // Some disconnect in the middle of the request, some while the server works on it.
        let sent = match number % 4 {
            0 => request.len() / 2,
            1 => request.len() - 1,
            _ => request.len(),
        };
        stream.write_all(&request.as_bytes()[..sent]).unwrap();
        if number % 4 == 2 {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    }
    // The started calls finish: at the end only the call that asks is live.
    let deadline = Instant::now() + PATIENCE;
    while server.resource("mcp://user-auth/metrics")["instances"]["live"] != 1 {
        assert!(
            Instant::now() < deadline,
            "calls of disconnected clients are still running"
        );
        thread::yield_now();
    }
    for name in names {
        let account = json!({"username": name, "password": PASSWORD});
        if server.call("register", account.clone()).is_err() {
            let login = server.call("login", account);
            assert!(login.is_ok(), "{name} is incomplete: {login:?}");
        }
    }
}

#[test]
fn slow_senders_are_cut_off_and_do_not_delay_others() {
    const SLOW: usize = 300;
    let server = Options::new()
        .env("USER_AUTH_LIMITS_HEADER_READ_MS", "1000")
        .env("USER_AUTH_LIMITS_BODY_READ_MS", "1000")
        .start();
    let request = registration(&server, "slow");
    let body_at = request.find("\r\n\r\n").unwrap() + 5;
    let slow: Vec<TcpStream> = (0..SLOW)
        .map(|number| {
            let mut stream = connect(&server);
            let so_far = if number % 2 == 0 { 20 } else { body_at };
            stream.write_all(&request.as_bytes()[..so_far]).unwrap();
            stream
        })
        .collect();
    // Meanwhile other clients are served.
    server.new_session("quick");
    for (number, mut stream) in slow.into_iter().enumerate() {
        // Sends byte by byte for as long as the server allows it.
        let _ = stream.write(b"x");
        let mut answer = String::new();
        // A reset connection has ended as well, one that is still open has not.
        if let Err(error) = stream.read_to_string(&mut answer) {
            let is_open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            assert!(!is_open, "slow client {number} was not cut off");
        }
        let cut = answer.is_empty() || answer.starts_with("HTTP/1.1 408");
        assert!(cut, "slow client {number} got {answer:?}");
    }
}

/// Ten thousand open connections send nothing, or half a request. New clients are served,
/// and memory is bounded.
#[tokio::test]
async fn ten_thousand_idle_connections_do_not_block_new_clients() {
    const CONNECTIONS: usize = 10_000;
    const MEMORY_MIB: u64 = 512;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let server = Options::new()
        // Idle connections are not closed while this test runs.
        .env("USER_AUTH_LIMITS_HEADER_READ_MS", "600000")
        .start();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let mut open = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let socket = TcpSocket::new_v4().unwrap();
        let connection = socket.connect(address);
        let connection = tokio::time::timeout(Duration::from_secs(60), connection).await;
        let connection = connection
            .expect("the server accepts a new connection")
            .unwrap();
        if number % 2 == 0 {
            // The server may just have reassigned this connection's slot.
            let _ = connection.try_write(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n");
        }
        open.push(connection);
    }
    let (server, memory) = tokio::task::spawn_blocking(move || {
        server.new_session("alice");
        let memory = resident_mib(&server);
        (server, memory)
    })
    .await
    .unwrap();
    assert!(memory < MEMORY_MIB, "{memory} MiB");
    drop(open);
    tokio::task::spawn_blocking(move || server.new_session("bob"))
        .await
        .unwrap();
}

fn resident_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    // Only Linux shows the number in `/proc`.
    let Ok(status) = status else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

fn registration(server: &Server, name: &str) -> String {
    let body: Value = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "user-auth_register",
        "arguments": {"username": name, "password": PASSWORD},
    }});
    let (host, body) = (server.url.trim_start_matches("http://"), body.to_string());
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
