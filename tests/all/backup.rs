//! `user-auth backup` and `user-auth restore`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;
use user_auth_tests::{Options, PASSWORD, Server, built, command, folder};

const CLIENTS: usize = 4;
const BEFORE: usize = 40;
const AFTER: usize = 20;

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home).args(arguments).output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Returns the error output of a run that ended with this code.
#[track_caller]
fn refused(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(output.stdout.is_empty());
    told
}

/// A home directory with the key and the database of a server at their usual places.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        Home(folder())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    fn store(&self, name: &str) -> String {
        format!("sqlite:{}", self.file(name))
    }

    fn master_key(&self) -> String {
        self.file(".local/share/user-auth/master.key")
    }

    /// Restores into a database beside the first, under the same key.
    fn restore(&self, file: &str, store: &str, more: &[&str]) -> Output {
        let (store, key) = (self.store(store), self.master_key());
        let mut arguments = vec!["restore", file, "--store", &store];
        arguments.extend(["--master-key-file", &key]);
        arguments.extend(more);
        run(self.path(), &arguments)
    }

    /// Opens the database beside the first and returns the error if that fails.
    fn open(&self, store: &str) -> Result<(), String> {
        let (store, key) = (self.store(store), self.master_key());
        let arguments = ["call", "list_roles", "--store", &store];
        let output = run(
            self.path(),
            &[&arguments[..], &["--master-key-file", &key]].concat(),
        );
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn start(&self, store: &str) -> Server {
        let options = Options::new().home(self.path()).store(&self.store(store));
        let options = options.for_a_crowd();
        options
            .arg("--master-key-file")
            .arg(&self.master_key())
            .start()
    }

    /// Creates a home with some imported users.
    fn with_users(count: usize) -> Home {
        let home = Home::new();
        let lines: String = (0..count)
            .map(|n| format!("{}\n", json!({"username": format!("user{n}")})))
            .collect();
        fs::write(home.file("users.jsonl"), lines).unwrap();
        done(&run(home.path(), &["import", &home.file("users.jsonl")]));
        home
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_backup_under_load_includes_everything_acknowledged_before_it_and_no_partial_writes() {
    let home = Home::new();
    let server = Options::new().home(home.path()).for_a_crowd().start();
    server
        .call(
            "register",
            json!({"username": "root", "password": PASSWORD}),
        )
        .unwrap();
    done(&run(
        home.path(),
        &["call", "assign_role", "username=root", "role=admin"],
    ));
    let credentials = json!({"username": "root", "password": PASSWORD});
    let root = server.call("login", credentials.clone()).unwrap();
    let new_key = json!({"name": "ci", "access_token": root["access_token"]});
    let key = server.call("create_api_key", new_key).unwrap();

    let file = home.file("users.backup");
    let acknowledged = Mutex::new(Vec::new());
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (progress, answered) = channel();
    let before = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let (server, acknowledged, progress) = (&server, &acknowledged, progress.clone());
            let (next, is_over) = (&next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let name = format!("user{}", next.fetch_add(1, Ordering::SeqCst));
                    let account = json!({"username": name, "password": PASSWORD});
                    server.call("register", account).unwrap();
                    acknowledged.lock().unwrap().push(name);
                    progress.send(()).unwrap();
                }
            });
        }
        let wait = |count| (0..count).for_each(|_| answered.recv().unwrap());
        wait(BEFORE);
        let before = acknowledged.lock().unwrap().clone();
        let output = run(home.path(), &["backup", &file]);
        wait(AFTER);
        is_over.store(true, Ordering::SeqCst);
        assert!(done(&output)["records"].as_u64().unwrap() > 4 * BEFORE as u64);
        before
    });
    drop(server);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    done(&home.restore(&file, "other.db", &[]));
    let server = home.start("other.db");
    let as_root = |operation: &str, mut input: Value| {
        input["access_token"] = root["access_token"].clone();
        server.call(operation, input)
    };
    // The secrets of the first administrator are valid in the restored store.
    let token = json!({"token": root["access_token"]});
    assert_eq!(server.call("verify_token", token).unwrap()["active"], true);
    let refresh = json!({"refresh_token": root["refresh_token"]});
    assert!(server.call("refresh_token", refresh).is_ok());
    assert!(server.call("login", credentials).is_ok());
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "user-auth_check_permission", "arguments": {"permission": "x:y"}}});
    let header = ("x-api-key", key["api_key"].as_str().unwrap());
    let answer = server.post(&[header], list.to_string()).json();
    assert!(answer["result"].is_object(), "{answer}");

    let (mut there, mut absent) = (0, 0);
    for n in 0..next.into_inner() {
        let name = format!("user{n}");
        let account = json!({"username": name, "password": PASSWORD});
        let whom = json!({"username": name});
        if as_root("get_user", whom.clone()).is_err() {
            assert!(!before.contains(&name), "{name} was lost");
            server.call("register", account).unwrap();
            absent += 1;
            continue;
        }
        assert!(
            server.call("login", account).is_ok(),
            "{name} is half there"
        );
        let chain = as_root("verify_audit_chain", whom).unwrap();
        assert_eq!(chain["intact"], true, "{name}: {chain}");
        there += 1;
    }
    assert!(
        there >= BEFORE && absent >= AFTER - CLIENTS,
        "{there} {absent}"
    );
}

#[test]
fn an_altered_backup_is_refused_and_leaves_no_database() {
    let home = Home::with_users(50);
    let file = home.file("users.backup");
    done(&run(home.path(), &["backup", &file]));
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut newer = whole.clone();
    newer[19] = 9;
    for (broken, says) in [
        (&flipped[..], "damaged"),
        (&whole[..whole.len() - 1], "cut off"),
        (&whole[..whole.len() / 2], "cut off"),
        (&newer, "version 9"),
        (b"{}", "not a backup"),
        (b"", "not a backup"),
    ] {
        fs::write(&file, broken).unwrap();
        let told = refused(&home.restore(&file, "other.db", &[]), 3);
        assert!(told.contains(says) && told.contains(&file), "{told}");
        assert!(!Path::new(&home.file("other.db")).exists());
    }
    // A backup under another key is refused as well.
    fs::write(&file, &whole).unwrap();
    let other = home.file("other.key");
    fs::write(&other, "00".repeat(32)).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let store = home.store("other.db");
    let arguments = ["restore", &file, "--store", &store];
    let arguments = [&arguments[..], &["--master-key-file", &other]].concat();
    let told = refused(&run(home.path(), &arguments), 3);
    assert!(told.contains("another master key"), "{told}");
    assert!(!Path::new(&home.file("other.db")).exists());
    let absent = home.restore(&home.file("absent"), "other.db", &[]);
    assert!(refused(&absent, 2).contains("absent"));
    let memory = run(home.path(), &["restore", &file, "--store", "memory"]);
    assert!(refused(&memory, 2).contains("--store"));
}

#[test]
fn nothing_is_overwritten_without_being_asked() {
    let home = Home::with_users(20);
    let file = home.file("users.backup");
    fs::write(&file, "mine").unwrap();
    let told = refused(&run(home.path(), &["backup", &file]), 2);
    assert!(told.contains("--force") && told.contains(&file), "{told}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    done(&run(home.path(), &["backup", &file, "--force"]));
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = home.start("other.db");
    server
        .call(
            "register",
            json!({"username": "mine", "password": PASSWORD}),
        )
        .unwrap();
    drop(server);
    let told = refused(&home.restore(&file, "other.db", &[]), 2);
    assert!(told.contains("--replace"), "{told}");
    let lists = |name: &str| {
        let (store, key) = (home.store("other.db"), home.master_key());
        let whom = format!("username={name}");
        let arguments = ["call", "get_user", &whom, "--store", &store];
        let arguments = [&arguments[..], &["--master-key-file", &key]].concat();
        run(home.path(), &arguments).status.success()
    };
    assert!(lists("mine") && !lists("user7"));
    done(&home.restore(&file, "other.db", &["--replace"]));
    assert!(!lists("mine") && lists("user7"));
}

#[test]
fn a_backup_can_be_piped() {
    let home = Home::with_users(300);
    let backup = run(home.path(), &["backup", "-"]);
    assert!(backup.status.success());
    let told = String::from_utf8(backup.stderr).unwrap();
    assert!(told.contains("records"), "{told}");

    let restore = |bytes: &[u8], more: &[&str]| {
        let mut child = command(home.path());
        child.args(["restore", "-", "--store", &home.store("other.db")]);
        child
            .args(["--master-key-file", &home.master_key()])
            .args(more);
        let mut child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The reader may have closed the pipe early.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait_with_output().unwrap()
    };
    let cut = restore(&backup.stdout[..backup.stdout.len() - 1], &[]);
    assert!(refused(&cut, 3).contains("cut off"));
    let told = home.open("other.db").unwrap_err();
    assert!(told.contains("restore"), "half a store was opened: {told}");
    let again = restore(&backup.stdout, &[]);
    assert!(refused(&again, 2).contains("--replace"));
    done(&restore(&backup.stdout, &["--replace"]));
    home.open("other.db").unwrap();
}

#[test]
fn an_interrupted_restore_leaves_a_store_that_cannot_be_opened() {
    let home = Home::with_users(50);
    let file = home.file("users.backup");
    done(&run(home.path(), &["backup", &file]));
    let whole = fs::read(&file).unwrap();
    home.open("other.db").unwrap();
    let mut child = command(home.path());
    child.args(["restore", "-", "--store", &home.store("other.db")]);
    child.args(["--master-key-file", &home.master_key()]);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&whole[..whole.len() - 1]).unwrap();
    // The restore waits for the last byte.
    while home.open("other.db").is_ok() {}
    signal("-INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    assert!(home.open("other.db").unwrap_err().contains("--replace"));
    done(&home.restore(&file, "other.db", &["--replace"]));
    home.open("other.db").unwrap();
}

#[test]
fn an_interrupted_backup_leaves_no_file() {
    let home = Home::with_users(1500);
    let before = home.names();
    // The size limit stands for a full disk; with the signal ignored the write fails with
    // an error.
    let script = "trap '' XFSZ; ulimit -f 400; exec \"$0\" backup \"$1\"";
    let mut limited = Command::new("sh");
    limited.args(["-c", script]).arg(built("user-auth"));
    limited.arg(home.file("users.backup"));
    let output = limited.env("HOME", home.path()).output().unwrap();
    let told = refused(&output, 3);
    assert!(told.contains("was not made"), "{told}");
    assert_eq!(home.names(), before);

    let mut child = command(home.path());
    child.args(["backup", "-"]).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    // The backup has begun, and waits for its reader.
    pipe.read_exact(&mut [0; 16]).unwrap();
    signal("-INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let nowhere = home.file("no/such/users.backup");
    refused(&run(home.path(), &["backup", &nowhere]), 2);
    let empty = folder();
    let told = refused(&run(empty.path(), &["backup", "users.backup"]), 3);
    assert!(told.contains("no database"), "{told}");
    assert_eq!(home.names(), before);
}

#[test]
fn the_file_of_a_killed_backup_is_removed_by_the_next_one() {
    let home = Home::with_users(1500);
    let folder = home.path().join("backups");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("users.backup");
    let names = || {
        let entries = fs::read_dir(&folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    // Kills the backup while it writes; false if it finished first.
    let was_killed = |_| {
        let mut child = command(home.path());
        let mut child = child.arg("backup").arg(&file).spawn().unwrap();
        while names().is_empty() && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        let _ = fs::remove_file(&file);
        !names().is_empty()
    };
    assert!((0..20).any(was_killed), "none was killed in time");
    done(&run(home.path(), &["backup", file.to_str().unwrap()]));
    assert_eq!(names(), ["users.backup"]);
}

fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
