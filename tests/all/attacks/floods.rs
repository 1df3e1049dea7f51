//! Load beyond what the machine can handle at once.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

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
fn attack_33_a_flood_of_hashes_uses_bounded_memory() {
    let options = Options::new().for_a_crowd();
    let server = options.arg("--set=limits.hash_workers=2").start();
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
    // 300 hashes at once would need 5.7 GiB.
    let peak = peak_mib(&server);
    assert!(peak < 512, "{peak} MiB");
}

fn wait_until(server: &Server, holds: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let metrics = server.resource("mcp://user-auth/metrics");
        if holds(&metrics) {
            return;
        }
        assert!(Instant::now() < deadline, "{metrics}");
    }
}

#[test]
fn attack_33_clients_that_disconnect_free_their_queue_slots() {
    let options = Options::new().for_a_crowd();
    let server = options.arg("--set=limits.hash_workers=2").start();
    server.new_session("alice");
    let address = server.url.trim_start_matches("http://");
    let streams: Vec<TcpStream> = (0..200)
        .map(|number| {
            let body = registration(number);
            let mut stream = TcpStream::connect(address).unwrap();
            write!(
                stream,
                "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            stream
        })
        .collect();
    // Clients that disconnect earlier than this have not started a hash.
    wait_until(&server, |metrics| {
        let hash = |name: &str| metrics["password_hash"][name].as_u64();
        hash("running") > Some(0) && hash("waiting") > Some(0)
    });
    drop(streams);
    // The call that reads the metrics is itself one of the live ones.
    wait_until(&server, |metrics| {
        let hash = |name: &str| metrics["password_hash"][name].as_u64();
        hash("running") == Some(0)
            && hash("waiting") == Some(0)
            && metrics["instances"]["live"] == 1
    });
    let login = json!({"username": "alice", "password": PASSWORD});
    assert!(server.call("login", login).is_ok());
    // A disconnect does not admit another hash beside the one that is already running.
    #[cfg(target_os = "linux")]
    {
        let peak = peak_mib(&server);
        assert!(peak < 512, "{peak} MiB");
    }
}

/// Hash parameters that would keep the host busy for hours or exhaust its memory.
#[test]
fn attack_33_imported_hashes_with_excessive_costs_are_refused() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let salt = "AAAAAAAAAAAAAAAAAAAAAA";
    let hash = "A".repeat(43);
    let bombs = [
        format!("$2b$31${salt}{}", &hash[..31]),
        format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${hash}"),
        format!("$argon2id$v=19$m=65536,t=4294967295,p=1${salt}${hash}"),
        format!("$scrypt$ln=30,r=8,p=1${salt}${hash}"),
        format!("$scrypt$ln=17,r=8,p=16${salt}${hash}"),
        format!("$pbkdf2-sha256$i=4294967295${salt}${hash}"),
    ];
    let users: Vec<Value> = bombs
        .iter()
        .map(|bomb| json!({"username": "bomb", "password_hash": bomb}))
        .collect();
    let output = command(home.path())
        .args(["call", "import_users", "--json"])
        .arg(json!({"users": users}).to_string())
        .output()
        .unwrap();
    let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
    let imported = imported["users"].as_array().unwrap();
    assert_eq!(imported.len(), bombs.len());
    for (user, bomb) in imported.iter().zip(&bombs) {
        assert_eq!(user["status"], "refused", "{bomb}");
    }
    let input = json!({"username": "bomb", "password": PASSWORD});
    assert_eq!(server.call("login", input).unwrap_err()["code"], -32001);
}

/// Verifies many hashes of the highest allowed cost in parallel: each takes 128 MiB.
#[test]
#[cfg(target_os = "linux")]
fn attack_33_a_flood_of_imported_hashes_uses_bounded_memory() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let cores = thread::available_parallelism().unwrap().get();
    let names: Vec<String> = (0..4 * cores)
        .map(|number| format!("user{number}"))
        .collect();
    let hash = format!(
        "$scrypt$ln=17,r=8,p=1${}${}",
        "A".repeat(22),
        "A".repeat(43)
    );
    for names in names.chunks(100) {
        let user = |name| json!({"username": name, "password_hash": hash});
        let users: Vec<Value> = names.iter().map(user).collect();
        let mut command = command(home.path());
        let input = json!({"users": users}).to_string();
        let output = command
            .args(["call", "import_users", "--json", &input])
            .output();
        assert!(output.unwrap().status.success());
    }
    thread::scope(|scope| {
        for name in &names {
            let input = json!({"username": name, "password": PASSWORD});
            let server = &server;
            scope.spawn(move || server.call("login", input).unwrap_err());
        }
    });
    let peak = peak_mib(&server);
    let expected = 256 + 128 * cores as u64;
    assert!(peak > 128, "{peak} MiB: the hashes were made");
    assert!(peak < expected, "{peak} MiB, expected less than {expected}");
}
