//! The limits of the host: clients that do not read or send half of what they announce, and
//! mistakes in starting it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use user_auth_host::api::McpRequest;
use user_auth_host::client::NoClient;
use user_auth_host::http::{self, HostPolicy};
use user_auth_host::store::MemoryStore;
use user_auth_host::{Limits, Plugin, StoreKeys};
use user_auth_tests::{Options, PASSWORD, built, command, folder};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// Serves in this process, where limits can be set, until the returned value is dropped.
async fn serve(limits: Limits) -> (Plugin, SocketAddr, oneshot::Sender<()>) {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
        .limits(limits)
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    tokio::spawn(http::serve(
        listener,
        plugin.clone(),
        HostPolicy::default(),
        shutdown,
    ));
    (plugin, address, stop)
}

fn post(body: &Value, accept: &str) -> String {
    let body = body.to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: {accept}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request on a connection of its own and returns the response.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(length > 0, "closed after: {text}");
            continue;
        };
        let announced = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if length == 0 || announced.and_then(|length| length.parse().ok()) == Some(body.len()) {
            return text.into_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_stream_releases_its_instance() {
    let (plugin, address, _stop) = serve(Limits {
        // The stream holds the only slot, and the call after it waits for that.
        concurrent_calls: 1,
        wall_clock_per_call: Duration::from_secs(1),
        call_queue_wait: Duration::from_secs(20),
        notification_bytes_per_call: 64 << 20,
        body_bytes: 16 << 20,
        discarded_body_bytes: 16 << 20,
        ..Limits::default()
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut unread = socket.connect(address).await.unwrap();
    // More than both ends of a socket can buffer.
    let token = "t".repeat(250_000);
    let logins: Vec<Value> = (0..32)
        .map(|id| {
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
                "name": "user-auth_login",
                "arguments": {"username": "alice", "password": PASSWORD},
                "_meta": {"progressToken": token},
            }})
        })
        .collect();
    let request = post(&json!(logins), "application/json, text/event-stream");
    unread.write_all(request.as_bytes()).await.unwrap();
    // The head of the response comes with the first event, so the call is running.
    unread.readable().await.unwrap();
    let ping = McpRequest {
        headers: Vec::new(),
        body: json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            .to_string()
            .into(),
    };
    let answer = plugin.handle(ping, Arc::new(NoClient)).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_bounded_memory_and_release_it() {
    let (_plugin, address, _stop) = serve(Limits {
        bodies_bytes: 1_000,
        call_queue_wait: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let ask = async |body: Value| {
        let request = post(&body, "*/*");
        tokio::task::spawn_blocking(move || exchange(address, &request))
            .await
            .unwrap()
    };
    let large =
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(2_000)}});
    let refused = ask(large).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(refused.contains(r#""code":-32004"#), "{refused}");
    for _ in 0..20 {
        let small = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let answer = ask(small).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn an_incomplete_request_does_not_delay_the_shutdown() {
    let server = Options::new().store("memory").start();
    let address = server.url.strip_prefix("http://").unwrap();
    let halves: Vec<TcpStream> = [
        "POST /mcp HT",
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nab",
    ]
    .map(|half| {
        // The first response shows that the server has the connection.
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n{half}"
        )
        .unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
        stream
    })
    .into();
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");
    assert!(log.contains("stopped") && !log.contains("cut off"), "{log}");
    for mut half in halves {
        let mut rest = String::new();
        // A closed connection may be reset.
        let _ = half.read_to_string(&mut rest);
        assert!(!rest.contains("HTTP/1.1 408"), "it was waited for: {rest}");
    }
}

#[test]
fn a_clean_shutdown_leaves_one_database_file() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    server.new_session("alice");
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
    let folder = home.path().join(".local/share/user-auth");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["master.key", "user-auth.db"]);
}

/// Runs the program to its end.
fn run(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(home)
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn a_database_cannot_be_opened_with_another_master_key() {
    let home = folder();
    let password = format!("password={PASSWORD}");
    let register = ["call", "register", "username=alice", &password];
    assert_eq!(run(home.path(), &[], &register).0, Some(0));
    let key = "0f".repeat(32);
    let other = [("USER_AUTH_MASTER_KEY", key.as_str())];
    for command in [&["call", "get_capabilities"][..], &["stdio"], &SERVE] {
        let (code, log) = run(home.path(), &other, command);
        assert_eq!(code, Some(3), "{command:?}: {log}");
        assert!(log.contains("under another master key"), "{log}");
    }
    let (code, log) = run(home.path(), &[], &["call", "get_capabilities"]);
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_server_with_an_invalid_setting_does_not_start() {
    let home = folder();
    let setting = [("USER_AUTH_PASSWORD_MIN_LENGTH", "three")];
    for command in [&["stdio"][..], &SERVE] {
        let (code, log) = run(home.path(), &setting, command);
        assert_eq!(code, Some(3), "{command:?}: {log}");
        assert!(
            log.contains("USER_AUTH_PASSWORD_MIN_LENGTH is 'three'"),
            "{log}"
        );
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let home = folder();
    for name in [
        "USER_AUTH_STORE",
        "USER_AUTH_NO_CACHE",
        "USER_AUTH_COMPONENT",
        "USER_AUTH_MASTER_KEY",
        "USER_AUTH_MASTER_KEY_FILE",
        "USER_AUTH_ISSUER",
        "USER_AUTH_PASSWORD_MIN_LENGTH",
    ] {
        let (code, log) = run(home.path(), &[(name, "")], &["call", "get_capabilities"]);
        assert_eq!(code, Some(0), "{name}: {log}");
    }
    for name in ["USER_AUTH_ALLOWED_HOSTS", "USER_AUTH_ALLOWED_ORIGINS"] {
        let server = Options::new().store("memory").env(name, "").start();
        assert_eq!(server.get("/health", &[]).status, 200);
    }
    for truth in ["1", "0", "true", "no"] {
        let truth = [("USER_AUTH_NO_CACHE", truth)];
        let (code, log) = run(home.path(), &truth, &["inspect"]);
        assert_eq!(code, Some(0), "{truth:?}: {log}");
    }
}

#[test]
fn unwritable_output_causes_no_panic() {
    let home = folder();
    for (redirection, arguments, code) in [
        ("> /dev/full", &["completions", "bash"][..], 3),
        ("2> /dev/full", &["call", "nope"], 2),
        ("2> /dev/full", &["fly"], 2),
    ] {
        let mut shell = std::process::Command::new("sh");
        let line = format!("exec \"$@\" {redirection}");
        shell.args(["-c", &line, "sh"]).arg(built("user-auth"));
        let output = shell
            .args(arguments)
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn control_characters_of_arguments_do_not_reach_the_terminal() {
    let home = folder();
    for arguments in [
        &["call", "\x1b[2J"][..],
        &["call", "login", "\x1b[2J:=x"],
        &["serve", "--listen", "\x1b[2J"],
        &["serve", "--store", "sqlite:/no/\x1b[2J/x.db"],
    ] {
        let (code, log) = run(home.path(), &[], arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(!log.contains('\x1b'), "{arguments:?}: {log}");
        assert!(log.contains(r"\u{1b}[2J"), "{arguments:?}: {log}");
    }
}
