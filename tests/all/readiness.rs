//! `/ready`, while the store can be read and not written.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use user_auth_tests::postgres::shared;
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

use crate::postgres::on;

/// Longer than an answer is kept, by far; only the end of a test that fails.
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
fn assert_takes_no_writes(server: &Server) {
    let body = ready(server, 503);
    assert_eq!(body["status"], "unavailable");
    assert_eq!(body["store"], "unavailable");
    assert_eq!(body["component"], "ok");
    let reason = body["reason"].as_str().unwrap();
    assert!(reason.contains("rejects writes"), "{reason}");
    for inside in ["sql", "SQL", "/", "[", "trigger"] {
        assert!(!reason.contains(inside), "{reason}");
    }
    // It lives: to start it again would not help.
    assert_eq!(server.get("/health", &[]).status, 200);
}

#[track_caller]
fn assert_works(server: &Server) {
    let expected = json!({"status": "ready", "store": "ok", "component": "ok"});
    assert_eq!(ready(server, 200), expected);
}

#[test]
fn a_database_in_sqlite_that_is_read_only_is_not_ready() {
    let home = folder();
    let database = home.path().join("x.db");
    let store = format!("sqlite:{}", database.display());
    let server = Options::new().home(home.path()).store(&store).start();
    assert_works(&server);
    let other = Connection::open(&database).unwrap();
    // As on a file system that was remounted for reading only, which takes root.
    for event in ["INSERT", "UPDATE", "DELETE"] {
        let trigger = format!(
            "CREATE TRIGGER stop_{event} BEFORE {event} ON entries
             BEGIN SELECT RAISE(FAIL, 'attempt to write a readonly database'); END"
        );
        other.execute_batch(&trigger).unwrap();
    }
    assert_takes_no_writes(&server);
    for event in ["INSERT", "UPDATE", "DELETE"] {
        other
            .execute_batch(&format!("DROP TRIGGER stop_{event}"))
            .unwrap();
    }
    assert_works(&server);
}

#[test]
fn a_database_in_sqlite_without_room_is_not_ready() {
    let home = folder();
    let database = home.path().join("x.db");
    let store = format!("sqlite:{}", database.display());
    let options = Options::new().home(home.path()).store(&store);
    // A write past the limit is to fail as one on a full disk does.
    let server = options.deaf_to("XFSZ").start();
    assert_works(&server);
    let limit = |bytes: &str| {
        let pid = server.pid().to_string();
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid, &format!("--fsize={bytes}:")]);
        assert!(prlimit.status().unwrap().success(), "prlimit of util-linux");
    };
    // Not another byte.
    limit("4096");
    assert_takes_no_writes(&server);
    limit("unlimited");
    assert_works(&server);
}

#[test]
fn a_database_in_postgres_that_is_read_only_is_not_ready() {
    let postgres = shared();
    let url = postgres.database();
    let name = url.rsplit('/').next().unwrap();
    let server = on(&url).start();
    assert_works(&server);
    let set = |read_only: &str| {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {read_only}");
        postgres.sql("postgres", &set);
        // It holds for new sessions.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        postgres.sql("postgres", &end);
    };
    set("on");
    // The first that is asked of a session that has ended fails as well.
    let register = |n: usize| {
        let account = json!({"username": format!("alice{n}"), "password": PASSWORD});
        server.call("register", account)
    };
    assert!(
        (0..8).all(|n| register(n).is_err()),
        "nothing can be written"
    );
    let began = Instant::now();
    while !ready(&server, 503)["reason"]
        .to_string()
        .contains("rejects writes")
    {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_takes_no_writes(&server);
    set("off");
    assert_works(&server);
}

#[test]
fn what_is_asked_of_the_store_for_it_is_in_no_backup_and_in_nobodys_way() {
    let home = folder();
    let home = home.path();
    let file = |name: &str| home.join(name).display().to_string();
    let store = |name: &str| format!("sqlite:{}", file(name));
    let server = Options::new().home(home).store(&store("a.db")).start();
    assert_works(&server);
    server.new_session("alice");
    let run = |arguments: &[&str]| {
        let output = command(home).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
    };
    run(&["backup", &file("x.backup"), "--store", &store("a.db")]);
    drop(server);

    // A server that was asked whether it is ready has written nothing that counts.
    let key = file("master.key");
    let other = Options::new().home(home).store(&store("b.db"));
    let other = other.arg("--master-key-file").arg(&key).start();
    assert_works(&other);
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
