//! The audit trail of one account over thousands of records, and the detection of changes
//! that are made in the database behind the component's back.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, folder};

const RECORDS: u64 = 10_000;

#[test]
fn tampering_with_one_of_ten_thousand_records_is_found_and_located() {
    let home = folder();
    let options = || {
        Options::new()
            .home(home.path())
            .env("USER_AUTH_REFRESH_GRACE_SECONDS", "0")
    };
    let server = options().start();
    let mut owner = Owner::register(&server);
    while owner.records < RECORDS {
        owner.act();
    }
    let Owner {
        user_id, tokens, ..
    } = owner;
    assert_eq!(verify(&server, &tokens), (RECORDS, None));
    server.stop();

    let database = home.path().join(".local/share/user-auth/user-auth.db");
    let whole = home.path().join("whole.db");
    fs::copy(&database, &whole).unwrap();
    let key = |seq: u64| format!("audit/{user_id}/{seq:012}");
    for (problem, seq, tamper) in [
        ("altered", 7_777, alter as fn(&Path, &str, &str)),
        ("dropped", 5_001, drop_one),
        ("reordered", 1_234, swap),
        ("truncated", RECORDS, drop_one),
    ] {
        fs::copy(&whole, &database).unwrap();
        tamper(&database, &key(seq), &key(seq + 1));
        let server = options().start();
        let (_, broken) = verify(&server, &tokens);
        assert_eq!(broken, Some(json!({"seq": seq, "problem": problem})));
        server.stop();
    }
    // The tampering alone caused the failure.
    fs::copy(&whole, &database).unwrap();
    assert_eq!(verify(&options().start(), &tokens), (RECORDS, None));
}

/// Verifies the chain and returns the number of records and the first one that is not as it
/// was written.
fn verify(server: &Server, tokens: &Value) -> (u64, Option<Value>) {
    let mut examined = 0;
    let mut input = json!({"access_token": tokens["access_token"]});
    loop {
        let page = server.call("verify_audit_chain", input.clone()).unwrap();
        examined += page["examined"].as_u64().unwrap();
        assert_eq!(page["intact"], page["broken"].is_null());
        if !page["broken"].is_null() {
            return (examined, Some(page["broken"].clone()));
        }
        if page["next_seq"].is_null() {
            return (examined, None);
        }
        input["after_seq"] = page["next_seq"].clone();
        input["previous"] = page["next_previous"].clone();
    }
}

/// Changes one word of a record, as an intruder would who wants to pass for another user.
fn alter(database: &Path, key: &str, _: &str) {
    let connection = Connection::open(database).unwrap();
    let mut record: Value = serde_json::from_slice(&read(&connection, key)).unwrap();
    record["source"] = json!("198.51.100.1");
    write(&connection, key, &serde_json::to_vec(&record).unwrap());
}

fn drop_one(database: &Path, key: &str, _: &str) {
    let connection = Connection::open(database).unwrap();
    let gone = connection.execute("DELETE FROM entries WHERE key = ?1", [key]);
    assert_eq!(gone.unwrap(), 1);
}

fn swap(database: &Path, key: &str, next: &str) {
    let connection = Connection::open(database).unwrap();
    let (first, second) = (read(&connection, key), read(&connection, next));
    write(&connection, key, &second);
    write(&connection, next, &first);
}

fn read(connection: &Connection, key: &str) -> Vec<u8> {
    let query = "SELECT value FROM entries WHERE key = ?1";
    connection
        .query_row(query, [key], |row| row.get(0))
        .unwrap()
}

fn write(connection: &Connection, key: &str, value: &[u8]) {
    let update = "UPDATE entries SET value = ?2 WHERE key = ?1";
    let changed = connection.execute(update, params![key, value]);
    assert_eq!(changed.unwrap(), 1);
}

/// The owner of the account, with the number of records that their actions have left.
struct Owner<'a> {
    server: &'a Server,
    user_id: String,
    tokens: Value,
    records: u64,
    turn: u64,
}

impl Owner<'_> {
    fn register(server: &Server) -> Owner<'_> {
        let account = json!({"username": "alice", "password": PASSWORD});
        let registered = server.call("register", account.clone()).unwrap();
        Owner {
            server,
            user_id: registered["user_id"].as_str().unwrap().to_owned(),
            tokens: server.call("login", account).unwrap(),
            records: 2,
            turn: 0,
        }
    }

    /// Does something else each time; operations that hash a password come rarely.
    fn act(&mut self) {
        self.turn += 1;
        if self.turn.is_multiple_of(500) {
            return self.change_session();
        }
        match self.turn % 8 {
            0 => self.manage_key(),
            1 => {
                let own = json!({"access_token": self.tokens["access_token"]});
                self.server.call("list_sessions", own).unwrap();
            }
            _ => self.refresh(),
        }
    }

    fn refresh(&mut self) {
        let input = json!({"refresh_token": self.tokens["refresh_token"]});
        self.tokens = self.server.call("refresh_token", input).unwrap();
        self.records += 1;
    }

    /// Creates an API key, rotates it and revokes it.
    fn manage_key(&mut self) {
        let steps = ["create_api_key", "rotate_api_key", "revoke_api_key"];
        let mut input = json!({"name": "ci"});
        for operation in steps.iter().take((RECORDS - self.records) as usize) {
            input["access_token"] = self.tokens["access_token"].clone();
            let key = self.server.call(operation, input).unwrap();
            input = json!({"key_id": key["key_id"]});
            self.records += 1;
        }
    }

    /// Fails a login, logs in, and ends the previous session.
    fn change_session(&mut self) {
        if RECORDS - self.records < 3 {
            return self.refresh();
        }
        let slip = json!({"username": "alice", "password": "a slip of the keyboard"});
        assert_eq!(self.server.call("login", slip).unwrap_err()["code"], -32001);
        let right = json!({"username": "alice", "password": PASSWORD});
        let tokens = self.server.call("login", right).unwrap();
        let old = json!({"refresh_token": self.tokens["refresh_token"]});
        self.server.call("logout", old).unwrap();
        self.tokens = tokens;
        self.records += 3;
    }
}
