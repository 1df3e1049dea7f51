//! A PostgreSQL server for tests, run from the machine's own installation on a free port of
//! 127.0.0.1, with its data in a temporary folder. The server ends with the process that
//! started it, however that ends, and removes its folder.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// The password of the superuser `postgres`.
pub const PASSWORD: &str = "p/w of the tests";
const PASSWORD_IN_URL: &str = "p%2Fw%20of%20the%20tests";

const MISSING: &str = "PostgreSQL is missing: `make postgres` installs it on Debian and Ubuntu \
     (the package `postgresql`); elsewhere install PostgreSQL 13 or later, with `initdb` in PATH";

/// Runs the server until a line says how to end it, or until the pipe closes.
const SUPERVISE: &str = r#"
"$1" -D "$3/data" -p "$2" -k "$3" $4 2>&1 &
pid=$!
read -r word
case "$word" in
    stop) kill -INT $pid ;;
    *) kill -QUIT $pid ;;
esac
wait $pid
[ -n "$word" ] || rm -rf "$3"
"#;

/// Returns the server that all tests of this process share, and that none of them stops.
pub fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start_new)
}

/// Creates an empty database on the shared server and returns its URL.
pub fn database() -> String {
    shared().database()
}

/// A server. It ends when this is dropped.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    options: &'static str,
    running: Mutex<Option<Running>>,
    databases: AtomicUsize,
}

struct Running {
    supervisor: Child,
    // Closed on drop, which ends the server and removes its folder.
    word: Option<ChildStdin>,
}

impl Postgres {
    /// Creates and starts a server.
    pub fn start_new() -> Postgres {
        Postgres::start_with("", &[])
    }

    /// Creates and starts a server with options of `postgres` (`-c name=value …`) and with
    /// these files in its data folder.
    pub fn start_with(options: &'static str, files: &[(&str, &str)]) -> Postgres {
        let programs = programs();
        let folder = folder();
        fs::write(folder.join("password"), PASSWORD).expect("a file for the password");
        give_to_server(&folder.join("password"));
        let created = as_server(&programs.join("initdb"), &folder)
            .args(["-D", "data", "-U", "postgres", "-A", "scram-sha-256"])
            .args(["--pwfile=password", "-E", "UTF8", "--no-sync"])
            .args(collation(&programs))
            .output()
            .expect("initdb runs");
        assert!(created.status.success(), "{}", text(&created.stderr));
        for (name, content) in files {
            let path = folder.join("data").join(name);
            fs::write(&path, content).expect("a file for the server");
            give_to_server(&path);
        }
        let server = Postgres {
            programs,
            folder,
            port: free_port(),
            options,
            running: Mutex::default(),
            databases: AtomicUsize::new(0),
        };
        server.start();
        server
    }

    /// Starts the server again after [`stop`](Self::stop) or [`crash`](Self::crash), and
    /// waits until it accepts connections.
    pub fn start(&self) {
        let mut supervisor = as_server(Path::new("sh"), &self.folder)
            .args(["-c", SUPERVISE, "sh"])
            .arg(self.programs.join("postgres"))
            .arg(self.port.to_string())
            .arg(&self.folder)
            .arg(format!(
                "-c listen_addresses=127.0.0.1 -c max_connections=400 -c shared_buffers=64MB {}",
                self.options
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal is meant for the tests; when they end, the server ends
            // too.
            .process_group(0)
            .spawn()
            .expect("a shell runs");
        let word = supervisor.stdin.take();
        let log = lines(supervisor.stdout.take().expect("its output is piped"));
        let mut seen = Vec::new();
        loop {
            match log.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains("ready to accept connections") => break,
                Ok(line) => seen.push(line),
                Err(_) => panic!("PostgreSQL does not start:\n{}", seen.join("\n")),
            }
        }
        *self.running() = Some(Running { supervisor, word });
    }

    /// Stops the server as its operator would: it finishes the calls in progress.
    pub fn stop(&self) {
        self.end("stop");
    }

    /// Stops the server at once: the next start recovers from its log.
    pub fn crash(&self) {
        self.end("crash");
    }

    fn end(&self, word: &str) {
        let mut running = self.running().take().expect("it runs");
        let mut pipe = running.word.take().expect("the server is ended only once");
        writeln!(pipe, "{word}").expect("the supervisor listens");
        running.supervisor.wait().expect("it ends");
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates an empty database and returns its URL.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Returns the URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!(
            "postgres://postgres:{PASSWORD_IN_URL}@127.0.0.1:{}/{name}",
            self.port
        )
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the result of a statement as text.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = self
            .psql(database)
            .args(["-c", statement])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// Runs the statements in a session that stays open until it is dropped, and waits
    /// until they are done.
    pub fn session(&self, database: &str, statements: &str) -> Session {
        let mut psql = self
            .psql(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("psql runs");
        let mut input = psql.stdin.take().expect("its input is piped");
        let output = lines(psql.stdout.take().expect("its output is piped"));
        writeln!(input, "{statements}\n\\echo done").expect("psql reads");
        loop {
            let line = output.recv_timeout(Duration::from_secs(60));
            if line.expect("the statements are done") == "done" {
                break;
            }
        }
        Session {
            psql,
            input: Some(input),
        }
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-h", "127.0.0.1", "-U", "postgres", "-d", database])
            .args(["-p", &self.port.to_string()])
            .env("PGPASSWORD", PASSWORD)
            .current_dir(&self.folder);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        match self.running().take() {
            Some(mut running) => {
                running.word = None;
                let _ = running.supervisor.wait();
            }
            None => {
                let _ = fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// A session of psql. Its locks are released when this is dropped.
pub struct Session {
    psql: Child,
    input: Option<ChildStdin>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.psql.wait();
    }
}

/// Returns the folder that has `initdb`, `postgres` and `psql`.
fn programs() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    // Debian keeps them out of PATH, in a folder for each version.
    let mut debian: Vec<PathBuf> = installed
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = debian.into_iter().rev().chain(env::split_paths(&path));
    let complete = |folder: &PathBuf| {
        let all = ["initdb", "postgres", "psql"];
        all.iter().all(|program| folder.join(program).is_file())
    };
    candidates.into_iter().find(complete).expect(MISSING)
}

/// Selects a collation that orders text as people do, since the store must not depend on
/// the order. From PostgreSQL 15 on this needs nothing from the system.
fn collation(programs: &Path) -> &'static [&'static str] {
    let help = Command::new(programs.join("initdb")).arg("--help").output();
    match help.is_ok_and(|help| text(&help.stdout).contains("--icu-locale")) {
        true => &["--locale=C", "--locale-provider=icu", "--icu-locale=en"],
        false => &["--locale=C"],
    }
}

/// Creates an empty folder that belongs to the user of the server.
fn folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("postgres")
        .tempdir()
        .expect("a temporary folder")
        .keep();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
    give_to_server(&folder);
    folder
}

/// Gives a path to the user `postgres`, since PostgreSQL refuses to run as root.
fn give_to_server(path: &Path) {
    fs::set_permissions(
        path,
        fs::Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o600 }),
    )
    .expect("our own file");
    if let Some((user, group)) = server_user() {
        chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

fn as_server(program: &Path, folder: &Path) -> Command {
    let mut command = match server_user() {
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .args([format!("--reuid={user}"), format!("--regid={group}")])
                .arg("--clear-groups")
                .arg(program);
            command
        }
        None => Command::new(program),
    };
    command.current_dir(folder).env("LC_ALL", "C");
    command
}

/// Returns the user and group to run the server as, if this process is root.
fn server_user() -> Option<(u32, u32)> {
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let user = id(&["-u", "postgres"]).expect("a user `postgres` to run the server as");
    let group = id(&["-g", "postgres"]).expect("a group of the user `postgres`");
    Some((user, group))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    text(&output.stdout).trim().parse().ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// Passes the lines on for as long as a receiver exists.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Keeps reading, so that the writer is never blocked.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
