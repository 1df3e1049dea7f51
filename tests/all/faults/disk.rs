//! A full disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, folder};

const CLIENTS: usize = 4;
const EACH: usize = 12;

/// Until there is space again, changes are refused. Everything acknowledged before,
/// during and after the failure is there, also after a restart.
#[test]
fn a_full_disk_refuses_changes_and_loses_no_acknowledged_data() {
    let home = folder();
    let database = home.path().join("x.db");
    let store = format!("sqlite:{}", database.display());
    let options = || {
        Options::new()
            .home(home.path())
            .store(&store)
            .for_a_crowd()
            // A write past the limit fails as a write to a full disk does.
            .ignoring_signal("XFSZ")
    };
    let server = options().start();
    let acknowledged = Mutex::new(Vec::new());
    let register_all = |round: &str| {
        let refused = Mutex::new(0);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, acknowledged, refused) = (&server, &acknowledged, &refused);
                scope.spawn(move || {
                    for number in 0..EACH {
                        let name = format!("{round}-{client}-{number}");
                        match server.call("register", account(&name)) {
                            Ok(_) => acknowledged.lock().unwrap().push(name),
                            Err(error) => {
                                assert_eq!(error["code"], -32004, "{error}");
                                assert!(error["data"]["details"]["retry_after_seconds"].is_u64());
                                *refused.lock().unwrap() += 1;
                            }
                        }
                    }
                });
            }
        });
        refused.into_inner().unwrap()
    };
    assert_eq!(register_all("before"), 0);
    let wal = fs::metadata(database.with_extension("db-wal"))
        .unwrap()
        .len();
    limit_files(&server, &(wal + 16 * 1024).to_string());
    assert!(register_all("full") > 0);
    // Reading needs no space.
    assert_eq!(server.get("/health", &[]).status, 200);
    limit_files(&server, "unlimited");
    assert_eq!(register_all("after"), 0);

    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.iter().any(|name| name.starts_with("after")));
    all_are_there(&server, &acknowledged);
    server.kill();
    all_are_there(&options().start(), &acknowledged);
}

fn all_are_there(server: &Server, names: &[String]) {
    for name in names {
        let login = server.call("login", account(name));
        assert!(login.is_ok(), "{name} was acknowledged: {login:?}");
    }
}

fn account(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}

/// Limits the size of the server's files to this many bytes.
fn limit_files(server: &Server, bytes: &str) {
    assert!(
        Path::new("/proc/self").exists(),
        "limiting another process requires Linux"
    );
    let limited = Command::new("prlimit")
        .args([
            "--pid",
            &server.pid().to_string(),
            &format!("--fsize={bytes}:"),
        ])
        .status();
    assert!(
        limited.is_ok_and(|status| status.success()),
        "this test requires prlimit of util-linux"
    );
}
