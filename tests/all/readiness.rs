//! `/ready`, while the store can be read but not written.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use user_auth_tests::postgres::shared;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use crate::postgres::on;

/// Much longer than an answer is cached; it only ends a failing test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer has this status, and returns it.
#[track_caller]
fn ready(server: &Server, status: u16) -> Value {
    let began = Instant::now();
    loop {
        let answer = server.get("/ready", &[]);
        if answer.status == status {
            return answer.json();
        }
        assert!(began.elapsed() < PATIENCE, "{}", answer.text);
    }
}

#[track_caller]
fn assert_not_writable(server: &Server) {
    let body = ready(server, 503);
    assert_eq!(body["status"], "unavailable");
    assert_eq!(body["store"], "unavailable");
    assert_eq!(body["component"], "ok");
    let reason = body["reason"].as_str().unwrap();
    assert!(reason.contains("rejects writes"), "{reason}");
    for inside in ["sql", "SQL", "/", "[", "trigger"] {
        assert!(!reason.contains(inside), "{reason}");
    }
    // The server is healthy: a restart would not help.
    assert_eq!(server.get("/health", &[]).status, 200);
}

#[track_caller]
fn assert_writable(server: &Server) {
    let expected = json!({"status": "ready", "store": "ok", "component": "ok"});
    assert_eq!(ready(server, 200), expected);
}

#[test]
fn a_read_only_sqlite_database_is_not_ready() {
    let home = folder();
    let database = home.path().join("x.db");
    let store = format!("sqlite:{}", database.display());
    let server = Options::new().home(home.path()).store(&store).start();
    assert_writable(&server);
    let other = Connection::open(&database).unwrap();
    // Simulates a file system that was remounted read-only, which would require root.
    for event in ["INSERT", "UPDATE", "DELETE"] {
        let trigger = format!(
            "CREATE TRIGGER stop_{event} BEFORE {event} ON entries
             BEGIN SELECT RAISE(FAIL, 'attempt to write a readonly database'); END"
        );
        other.execute_batch(&trigger).unwrap();
    }
    assert_not_writable(&server);
    for event in ["INSERT", "UPDATE", "DELETE"] {
        other
            .execute_batch(&format!("DROP TRIGGER stop_{event}"))
            .unwrap();
    }
    assert_writable(&server);
}

#[test]
fn a_sqlite_database_without_disk_space_is_not_ready() {
    let home = folder();
    let database = home.path().join("x.db");
    let store = format!("sqlite:{}", database.display());
    let options = Options::new().home(home.path()).store(&store);
    // A write past the limit fails as a write to a full disk does.
    let server = options.ignoring_signal("XFSZ").start();
    assert_writable(&server);
    let limit = |bytes: &str| {
        let pid = server.pid().to_string();
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
        assert!(prlimit.status().unwrap().success(), "prlimit of util-linux");
    };
    // No byte can be added.
    limit("4096");
    assert_not_writable(&server);
    limit("unlimited");
    assert_writable(&server);
}

#[test]
fn a_read_only_postgresql_database_is_not_ready() {
    let postgres = shared();
    let url = postgres.database();
    let name = url.rsplit('/').next().unwrap();
    let server = on(&url).start();
    assert_writable(&server);
    let set = |read_only: &str| {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}");
        postgres.sql("postgres", &set);
        // The setting applies to new sessions.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        postgres.sql("postgres", &end);
    };
    set("on");
    // The first query on a terminated session fails as well.
    let register = |n: usize| {
        let account = json!({"username": format!("alice{n}"), "password": PASSWORD});
        server.call("register", account)
    };
    assert!(
        (0..8).all(|n| register(n).is_err()),
        "the store accepts no writes"
    );
    let began = Instant::now();
    while !ready(&server, 503)["reason"]
        .to_string()
        .contains("rejects writes")
    {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_not_writable(&server);
    set("off");
    assert_writable(&server);
}

#[test]
fn the_readiness_record_is_not_backed_up_and_does_not_block_a_restore() {
    let home = folder();
    let home = home.path();
    let file = |name: &str| home.join(name).display().to_string();
    let store = |name: &str| format!("sqlite:{}", file(name));
    let server = Options::new().home(home).store(&store("a.db")).start();
    assert_writable(&server);
    server.new_session("alice");
    let run = |arguments: &[&str]| {
        let output = command(home).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
    };
    run(&["backup", &file("x.backup"), "--store", &store("a.db")]);
    drop(server);

    // Readiness checks alone do not make a store count as used.
    let key = file("master.key");
    let other = Options::new().home(home).store(&store("b.db"));
    let other = other.arg("--master-key-file").arg(&key).start();
    assert_writable(&other);
    other.stop();
    let to = store("b.db");
    run(&[
        "restore",
        &file("x.backup"),
        "--store",
        &to,
        "--master-key-file",
        &key,
    ]);
    let (fresh, backup) = (store("c.db"), file("x.backup"));
    run(&[
        "restore",
        &backup,
        "--store",
        &fresh,
        "--master-key-file",
        &key,
    ]);
    let asked = |name: &str| -> i64 {
        let query = "SELECT count(*) FROM entries WHERE key = 'host/ready'";
        let database = Connection::open(Path::new(&file(name))).unwrap();
        database.query_row(query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!([asked("a.db"), asked("c.db")], [1, 0]);
}
