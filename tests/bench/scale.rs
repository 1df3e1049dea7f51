//! `make scale`: compares waiting times with a million users and sessions with those of a
//! thousand.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use user_auth_host::store::{
    Expect, Mutation, Outcome, PostgresStore, PostgresUrl, SqliteStore, Store,
};
use user_auth_tests::{Options, PASSWORD, Server, command, folder, postgres};

use crate::load::{Load, Report};

const SMALL: usize = 1_000;
/// The number of accounts whose calls are measured, spread over all.
const SAMPLE: usize = 256;
const CONNECTIONS: usize = 2;
const FOR: Duration = Duration::from_secs(15);
/// Sessions in one commit.
const SESSIONS: usize = 250;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Loads [`SMALL`] and then `large` users and sessions into a store of each kind, and
/// measures both.
pub fn run(large: usize) -> Result<()> {
    ensure!(large > SMALL, "the number of users must exceed {SMALL}");
    for kind in ["sqlite", "postgres"] {
        let small = Loaded::new(kind, SMALL)?.measure()?;
        let large = Loaded::new(kind, large)?.measure()?;
        for (call, small, large) in [
            ("verify_token", &small.0, &large.0),
            ("login", &small.1, &large.1),
        ] {
            let ratio = large.percentile(99).as_secs_f64() / small.percentile(99).as_secs_f64();
            println!("{kind:<9} {call:<13} p99 of the large to the small: {ratio:.2}");
        }
    }
    Ok(())
}

/// A store with many users and sessions.
struct Loaded {
    home: tempfile::TempDir,
    store: String,
    kind: &'static str,
    users: usize,
}

impl Loaded {
    fn new(kind: &'static str, users: usize) -> Result<Loaded> {
        let home = folder();
        let store = match kind {
            "postgres" => postgres::database(),
            _ => format!("sqlite:{}", home.path().join("scale.db").display()),
        };
        let loaded = Loaded {
            home,
            store,
            kind,
            users,
        };
        write_key(&loaded.key_file())?;
        let started = Instant::now();
        loaded.import()?;
        loaded.print("users", started);
        let started = Instant::now();
        loaded.add_sessions()?;
        loaded.print("sessions", started);
        Ok(loaded)
    }

    fn print(&self, what: &str, started: Instant) {
        let Loaded { kind, users, .. } = self;
        let seconds = started.elapsed().as_secs_f64();
        let rate = *users as f64 / seconds;
        println!("{kind:<9} {users:>9} {what:<9} {seconds:>7.1} s {rate:>9.0} a second");
    }

    fn key_file(&self) -> PathBuf {
        self.home.path().join("master.key")
    }

    fn start(&self) -> Server {
        let key_file = self.key_file();
        Options::new()
            .home(self.home.path())
            .store(&self.store)
            .env("USER_AUTH_MASTER_KEY_FILE", &key_file.display().to_string())
            .start()
    }

    /// Imports the users in bulk, as an operator would who comes from another system.
    fn import(&self) -> Result<()> {
        let path = self.home.path().join("users.jsonl");
        write_users(&path, self.users)?;
        let imported = command(self.home.path())
            .arg("import")
            .arg(&path)
            .args(["--store", &self.store])
            .env("USER_AUTH_MASTER_KEY_FILE", self.key_file())
            .output()?;
        let said = String::from_utf8_lossy(&imported.stderr);
        ensure!(imported.status.success(), "{said}");
        Ok(())
    }

    /// Puts a session of each account into the store. They differ only in their accounts,
    /// and no client has their tokens: they only add to the size of the store.
    fn add_sessions(&self) -> Result<()> {
        let server = self.start();
        let login = server.call("login", credentials(0));
        login.map_err(|error| anyhow::anyhow!("{error}"))?;
        server.stop();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let store = self.open().await?;
            let found = store.scan("session/", None, 1).await?;
            let template = found.entries.first().context("a login creates a session")?;
            let template: Value = serde_json::from_slice(&template.value)?;
            let mut after = None;
            loop {
                let page = store
                    .scan("account/", after.as_deref(), SESSIONS as u32)
                    .await?;
                let mut batch = Vec::with_capacity(2 * SESSIONS);
                for account in &page.entries {
                    let account: Value = serde_json::from_slice(&account.value)?;
                    batch.extend(session(&template, &account)?);
                }
                let outcome = store.commit(batch).await?;
                ensure!(outcome == Outcome::Committed, "{outcome:?}");
                after = page.next;
                if after.is_none() {
                    return Ok(());
                }
            }
        })
    }

    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(match self.store.strip_prefix("sqlite:") {
            Some(path) => Arc::new(SqliteStore::open(Path::new(path))?),
            None => {
                let url: PostgresUrl = self.store.parse()?;
                Arc::new(PostgresStore::open(&url).await?)
            }
        })
    }

    /// Measures how long `verify_token` and `login` take.
    fn measure(&self) -> Result<(Report, Report)> {
        let server = self.start();
        let (mut verify, mut logins) = (Vec::new(), Vec::new());
        for number in 0..SAMPLE {
            let account = credentials(number * self.users / SAMPLE);
            let tokens = server.call("login", account.clone());
            let tokens = tokens.map_err(|error| anyhow::anyhow!("{error}"))?;
            let token = json!({"token": tokens["access_token"]});
            verify.push(crate::tool("verify_token", token));
            logins.push(crate::tool("login", account));
        }
        let mut reports = Vec::new();
        for (call, bodies) in [("verify_token", verify), ("login", logins)] {
            let report = Load::new(&server.url, CONNECTIONS, bodies).run(FOR)?;
            let mut row = format!("{:<9} {:>9} users  {call:<13}", self.kind, self.users);
            for percent in [50, 95, 99] {
                let millis = report.percentile(percent).as_secs_f64() * 1000.0;
                write!(row, "  p{percent} {millis:>7.2} ms")?;
            }
            println!("{row}  {:>8.1} a second", report.rate());
            reports.push(report);
        }
        let login = reports.pop().context("two reports")?;
        let verify = reports.pop().context("two reports")?;
        Ok((verify, login))
    }
}

/// Returns the session of an account, and the store key of the account's index entry for
/// it.
fn session(template: &Value, account: &Value) -> Result<[Mutation; 2]> {
    let user_id = account["user_id"]
        .as_str()
        .context("an account has an id")?;
    let digest = Sha256::digest(user_id.as_bytes());
    let id: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut session = template.clone();
    session["session_id"] = json!(id);
    session["user_id"] = json!(user_id);
    session["username"] = account["username"].clone();
    let put = |key: String, value: Vec<u8>| Mutation {
        key,
        expect: Expect::Any,
        put: Some(value),
        ttl: Some(30 * DAY),
    };
    Ok([
        put(format!("session/{id}"), serde_json::to_vec(&session)?),
        put(format!("account-session/{user_id}/{id}"), b"{}".to_vec()),
    ])
}

/// Writes a master key, since none is generated with PostgreSQL.
fn write_key(path: &Path) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    Ok(writeln!(options.open(path)?, "{}", "5c".repeat(32))?)
}

/// Writes users with the password of the tests, hashed at the component's default cost.
fn write_users(path: &Path, users: usize) -> Result<()> {
    let salt = b"salt of all of them";
    let parameters = Params::new(19 * 1024, 2, 1, Some(32)).map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(PASSWORD.as_bytes(), salt, &mut hash)
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    let hash = format!(
        "$argon2id$v=19$m=19456,t=2,p=1${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    );
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..users {
        let user = json!({"username": username(number), "password_hash": hash});
        writeln!(file, "{user}")?;
    }
    Ok(file.flush()?)
}

fn username(number: usize) -> String {
    format!("user{number:07}")
}

fn credentials(number: usize) -> Value {
    json!({"username": username(number), "password": PASSWORD})
}
