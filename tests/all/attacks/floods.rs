//! More than the machine can do at once.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_tests::{PASSWORD, Server};

fn registration(number: usize) -> String {
    let arguments = json!({"username": format!("user{number}"), "password": PASSWORD});
    let params = json!({"name": "user-auth_register", "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

fn peak_mib(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(path).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
#[cfg(target_os = "linux")]
fn attack_33_a_flood_of_hashes_keeps_memory_bounded() {
    let server = Server::start();
    let answers: Vec<Value> = thread::scope(|scope| {
        let threads: Vec<_> = (0..300)
            .map(|number| {
                let server = &server;
                scope.spawn(move || server.post(&[], registration(number)).json())
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused = answers
        .iter()
        .filter(|answer| answer["error"]["code"] == -32004)
        .count();
    assert!(refused > 0, "300 at once are more than the queue takes");
    // 300 hashes at once would take 5.7 GiB.
    let peak = peak_mib(&server);
    assert!(peak < 512, "{peak} MiB");
}

#[test]
fn attack_33_clients_that_hang_up_free_their_places() {
    let server = Server::start();
    server.new_session("alice");
    let address = server.url.trim_start_matches("http://");
    for number in 0..200 {
        let body = registration(number);
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = server.resource("mcp://user-auth/metrics");
        let busy = metrics["password_hash"]["waiting"].as_u64().unwrap()
            + metrics["password_hash"]["running"].as_u64().unwrap();
        // The call that asks is one of those that live.
        if busy == 0 && metrics["instances"]["live"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
    let login = json!({"username": "alice", "password": PASSWORD});
    assert!(server.call("login", login).is_ok());
}
