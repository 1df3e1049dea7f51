//! Attacks by another user of the machine: planted compiled code, links, and files that
//! other users may write. Tests that change the owner of a file need root; without it they
//! skip that part.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use user_auth_tests::{built, command, folder, write_private};

/// An unrelated user id.
const STRANGER: u32 = 65534;
/// The smallest valid component. It implements nothing of the world `plugin`.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// Gives a file to another user and reports whether that was possible.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::lchown(path, Some(STRANGER), None).is_ok()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = command(home);
    command.stdin(Stdio::null()).args(arguments);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A cache directory, and a file that another user has compiled in their own cache.
struct Cache {
    scratch: TempDir,
    planted: Vec<u8>,
}

impl Cache {
    fn new() -> Cache {
        let cache = Cache {
            scratch: folder(),
            planted: Vec::new(),
        };
        let evil = cache.path("evil.wasm");
        fs::write(&evil, EMPTY).unwrap();
        // The file is compiled first, and only then rejected as not being a plugin.
        let output = cache.start_with(&cache.path("other"), &evil);
        assert!(!output.status.success());
        let planted = fs::read(compiled(&cache.path("other"))).unwrap();
        assert!(cache.start().status.success());
        Cache { planted, ..cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The parent folder of the cache.
    fn base(&self) -> PathBuf {
        self.path("mine")
    }

    /// Runs the program with a component that ends at once. With the planted code in its
    /// place the program would not start.
    fn start(&self) -> Output {
        self.start_with(&self.base(), &built("user-auth-hostile.wasm"))
    }

    fn start_with(&self, base: &Path, component: &Path) -> Output {
        let mut command = command(self.scratch.path());
        command
            .stdin(Stdio::null())
            .env("XDG_CACHE_HOME", base)
            .args(["stdio", "--store", "memory", "--component"])
            .arg(component);
        command.output().unwrap()
    }
}

/// Returns the only compiled component of a cache.
fn compiled(base: &Path) -> PathBuf {
    let entries = fs::read_dir(base.join("user-auth")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> = paths
        .filter(|path| path.extension() == Some("cwasm".as_ref()))
        .collect();
    let [path] = &paths[..] else {
        panic!("{paths:?}");
    };
    path.clone()
}

#[test]
fn attack_43_planted_compiled_code_is_replaced_and_never_run() {
    let cache = Cache::new();
    let file = compiled(&cache.base());
    let elsewhere = cache.path("elsewhere.cwasm");
    let plant = |path: &Path| {
        let _ = fs::remove_file(path);
        fs::write(path, &cache.planted).unwrap();
    };
    let plants: [(&str, &dyn Fn()); 5] = [
        ("while the folder was open to all", &|| {
            plant(&file);
            set_mode(&file, 0o644);
            give_away(&file);
        }),
        ("by a link", &|| {
            plant(&elsewhere);
            set_mode(&elsewhere, 0o600);
            fs::remove_file(&file).unwrap();
            symlink(&elsewhere, &file).unwrap();
        }),
        ("in a file that all may write", &|| {
            plant(&file);
            set_mode(&file, 0o666);
        }),
        ("in a file of ours that all could write", &|| {
            plant(&file);
            set_mode(&file, 0o600);
        }),
        ("by a second name", &|| {
            plant(&elsewhere);
            set_mode(&elsewhere, 0o600);
            fs::remove_file(&file).unwrap();
            fs::hard_link(&elsewhere, &file).unwrap();
        }),
    ];
    let mut run = Vec::new();
    for (how, plant) in plants {
        plant();
        let output = cache.start();
        if !output.status.success() {
            run.push(how);
            continue;
        }
        let log = stderr(&output);
        assert!(log.contains("is not used"), "{how}: {log}");
        assert!(log.contains(file.to_str().unwrap()), "{how}: {log}");
        // The cache now holds our own valid file.
        let metadata = file.symlink_metadata().unwrap();
        assert!(metadata.is_file() && metadata.nlink() == 1, "{how}");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{how}");
        let output = cache.start();
        let log = stderr(&output);
        assert!(output.status.success(), "{how}: {log}");
        assert!(!log.contains("is not used"), "{how}: {log}");
    }
    assert!(run.is_empty(), "planted code was run: {run:?}");
}

#[test]
fn attack_43_a_world_writable_cache_is_not_used() {
    let cache = Cache::new();
    let folder = cache.base().join("user-auth");
    set_mode(&folder, 0o777);
    fs::write(compiled(&cache.base()), &cache.planted).unwrap();
    let output = cache.start();
    assert!(output.status.success(), "{}", stderr(&output));
    let advice = format!("chmod 700 {}", folder.display());
    assert!(stderr(&output).contains(&advice), "{}", stderr(&output));
    // Follow the advice in the message.
    set_mode(&folder, 0o700);
    let output = cache.start();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn attack_43_a_cache_that_is_swapped_repeatedly_is_never_read() {
    const STARTS: usize = 40;
    let cache = Cache::new();
    let base = cache.base();
    // Other users may write the parent folder.
    set_mode(&base, 0o777);
    let [mine, theirs] = ["user-auth", "theirs"].map(|name| base.join(name));
    fs::create_dir(&theirs).unwrap();
    let planted = theirs.join(compiled(&base).file_name().unwrap());
    fs::write(&planted, &cache.planted).unwrap();
    give_away(&planted);
    give_away(&theirs);
    let is_over = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // Exchange both names at once.
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                let here = rustix::fs::CWD;
                rustix::fs::renameat_with(here, &mine, here, &theirs, exchange).unwrap();
            }
        });
        let starts = (0..STARTS).filter(|_| !cache.start().status.success());
        let refused = starts.count();
        is_over.store(true, Ordering::Relaxed);
        refused
    });
    assert_eq!(
        refused, 0,
        "planted code was run in this many of {STARTS} starts"
    );
}

/// Asserts that a start that reads the file is refused with a message that names the file
/// and says what to do.
#[track_caller]
fn assert_refused(output: &Output, file: &Path, says: &[&str]) {
    let log = stderr(output);
    assert!(!output.status.success(), "the file was accepted: {log}");
    for says in [&[file.to_str().unwrap()], says].concat() {
        assert!(log.contains(says), "{says}: {log}");
    }
}

/// Covers each file that decides what is run or which certificates are trusted, and each
/// file that holds a secret: writable by others, readable by others, and owned by another
/// user.
#[test]
fn attack_43_files_that_other_users_control_are_refused_with_advice() {
    let home = folder();
    let home = home.path();
    let at = |name: &str| home.join(name);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (at("certificate.pem"), at("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    write_private(&key, &made.signing_key.serialize_pem());
    let [password, secret, master_key] = ["password", "secret", "master.key"].map(&at);
    for file in [&password, &secret, &master_key] {
        write_private(file, &"5c".repeat(32));
    }
    let component = at("user-auth.wasm");
    fs::copy(built("user-auth-hostile.wasm"), &component).unwrap();
    set_mode(&component, 0o644);
    let config = at("config.toml");
    let text = format!(
        "[server.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n\
         [delivery]\nmethod = \"smtp://me@127.0.0.1\"\nmail_from = \"a@example.com\"\n\
         smtp_password_file = {password:?}\n[component]\nfile = {component:?}\n"
    );
    fs::write(&config, text).unwrap();
    set_mode(&config, 0o644);
    let by_webhook = at("webhook.toml");
    let text =
        format!("[delivery]\nmethod = \"http://127.0.0.1:9/\"\nwebhook_secret_file = {secret:?}\n");
    fs::write(&by_webhook, text).unwrap();
    let check = |config: &Path| run(home, &["config", "check", config.to_str().unwrap()]);
    let call = || {
        let key = master_key.to_str().unwrap();
        let store = format!("sqlite:{}", at("x.db").display());
        run(
            home,
            &[
                "call",
                "list_roles",
                "--store",
                &store,
                "--master-key-file",
                key,
            ],
        )
    };
    let serve = || check(&config);
    let hook = || check(&by_webhook);
    assert!(call().status.success(), "{}", stderr(&call()));
    assert!(hook().status.success(), "{}", stderr(&hook()));
    // The component is none of ours, but nothing else is wrong.
    let good = stderr(&serve());
    for file in [&certificate, &key, &password, &config] {
        assert!(!good.contains(file.to_str().unwrap()), "{good}");
    }

    let mut taken = Vec::new();
    let files: [(&Path, bool, &dyn Fn() -> Output); 7] = [
        (&config, false, &serve),
        (&component, false, &serve),
        (&certificate, false, &serve),
        (&key, true, &serve),
        (&password, true, &serve),
        (&secret, true, &hook),
        (&master_key, true, &call),
    ];
    for (file, is_secret, start) in files {
        let owned = file.metadata().unwrap();
        let mut expect = |how: &str, advice: &str| {
            let output = start();
            let log = stderr(&output);
            let name = file.to_str().unwrap();
            let is_refused = log
                .lines()
                .any(|line| line.contains(name) && line.contains(advice));
            if !is_refused || output.status.success() {
                taken.push(format!("{name} {how}: {log}"));
            }
        };
        set_mode(file, owned.mode() | 0o022);
        match is_secret {
            true => expect("writable by others", "chmod 600"),
            false => expect("writable by others", "chmod go-w"),
        }
        if is_secret {
            for mode in [0o644, 0o640, 0o604] {
                set_mode(file, mode);
                expect("readable by others", "chmod 600");
            }
        }
        set_mode(file, owned.mode());
        if give_away(file) {
            expect("owned by another user", "belongs to user 65534");
            chown(file, Some(owned.uid()), Some(owned.gid())).unwrap();
        }
    }
    assert!(
        taken.is_empty(),
        "{} were accepted:\n{}",
        taken.len(),
        taken.join("\n")
    );
    // Orchestrators mount secrets as links: the file that the link leads to decides.
    let (real, link) = (at("real.key"), master_key.clone());
    fs::rename(&master_key, &real).unwrap();
    symlink(&real, &link).unwrap();
    assert!(call().status.success(), "{}", stderr(&call()));
    set_mode(&real, 0o644);
    assert_refused(&call(), &link, &["chmod 600"]);
}

#[test]
fn attack_43_output_does_not_follow_links_of_other_users() {
    let home = folder();
    let home = home.path();
    let precious = home.join("precious");
    let users = home.join("users.jsonl");
    fs::write(&users, "{\"username\": \"alice\"}\n").unwrap();
    let open = home.join("open");
    fs::create_dir(&open).unwrap();
    let link = open.join("link");
    let import = || {
        let [users, link] = [&users, &link].map(|path| path.to_str().unwrap());
        run(
            home,
            &["import", users, "--errors", link, "--store", "memory"],
        )
    };
    let log = || {
        let link = link.to_str().unwrap();
        run(
            home,
            &[
                "call",
                "list_roles",
                "--audit-log",
                link,
                "--store",
                "memory",
            ],
        )
    };
    let outputs: [(&str, &dyn Fn() -> Output); 2] = [("errors", &import), ("audit log", &log)];
    for (name, start) in outputs {
        // A folder with the sticky bit, as /tmp has it; and one in which other users could
        // rename our own link.
        for (mode, is_strangers) in [(0o1777, true), (0o777, false)] {
            fs::write(&precious, "mine").unwrap();
            let _ = fs::remove_file(&link);
            symlink(&precious, &link).unwrap();
            if is_strangers && !give_away(&link) {
                continue;
            }
            set_mode(&open, mode);
            let output = start();
            assert_eq!(fs::read(&precious).unwrap(), b"mine", "{name} {mode:o}");
            assert!(!output.status.success(), "{name} {mode:o}");
        }
        // A file of another user, who could read along.
        fs::remove_file(&link).unwrap();
        fs::write(&link, "").unwrap();
        if give_away(&link) {
            assert_refused(&start(), &link, &["belongs to user 65534"]);
            assert_eq!(link.metadata().unwrap().len(), 0, "{name}");
        }
        // Created files are accessible to their owner only.
        fs::remove_file(&link).unwrap();
        assert!(start().status.success(), "{name}: {}", stderr(&start()));
        assert_eq!(link.metadata().unwrap().mode() & 0o777, 0o600, "{name}");
        fs::remove_file(&link).unwrap();
        // Links of our own are followed, as for /dev/stderr.
        set_mode(&open, 0o700);
        symlink("/dev/stderr", &link).unwrap();
        assert!(start().status.success(), "{name}: {}", stderr(&start()));
    }
}

#[test]
fn attack_43_a_database_that_other_users_control_is_refused() {
    let home = folder();
    let home = home.path();
    let data = home.join("data");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o700);
    let database = data.join("x.db");
    let call = || {
        let store = format!("sqlite:{}", database.display());
        run(home, &["call", "list_roles", "--store", &store])
    };
    assert!(call().status.success(), "{}", stderr(&call()));
    let beside = |suffix: &str| {
        let mut name = database.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    set_mode(&database, 0o666);
    assert_refused(&call(), &database, &["chmod go-w"]);
    set_mode(&database, 0o644);
    let output = call();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("chmod o-r"), "{}", stderr(&output));
    set_mode(&database, 0o600);
    set_mode(&data, 0o777);
    assert_refused(&call(), &data, &["chmod go-w"]);
    set_mode(&data, 0o700);
    for suffix in ["-wal", "-shm", "-journal"] {
        let planted = beside(suffix);
        symlink(&database, &planted).unwrap();
        assert_refused(&call(), &planted, &["not a regular file"]);
        fs::remove_file(&planted).unwrap();
        fs::write(&planted, "").unwrap();
        if give_away(&planted) {
            // A folder in which everyone may create files but not rename those of others.
            set_mode(&data, 0o1777);
            assert_refused(&call(), &planted, &["belongs to user 65534"]);
            set_mode(&data, 0o700);
        }
        fs::remove_file(&planted).unwrap();
    }
    // The folder of the linked file decides.
    let real = home.join("real.db");
    fs::rename(&database, &real).unwrap();
    symlink(&real, &database).unwrap();
    assert!(call().status.success(), "{}", stderr(&call()));
    let planted = home.join("real.db-wal");
    symlink(&database, &planted).unwrap();
    assert_refused(&call(), &planted, &["not a regular file"]);
    fs::remove_file(&planted).unwrap();
    if give_away(&database) {
        assert_refused(&call(), &database, &["is a link created by user 65534"]);
    }
    fs::remove_file(&database).unwrap();
    fs::rename(&real, &database).unwrap();
    if give_away(&database) {
        assert_refused(&call(), &database, &["belongs to user 65534"]);
        chown(&database, Some(0), None).unwrap();
        // An administrator may maintain files in a service's own folder.
        chown(&data, Some(STRANGER), None).unwrap();
        chown(&database, Some(STRANGER), None).unwrap();
        assert!(call().status.success(), "{}", stderr(&call()));
    }
    let count = "SELECT count(*) FROM entries";
    let records: i64 = Connection::open(&database)
        .unwrap()
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert!(records > 0);
}

/// Files left by killed processes are removed by the next process that writes the same
/// file. Files of other programs, and files that are being written, stay.
#[test]
fn attack_43_temporary_files_of_killed_processes_are_removed_and_no_others() {
    let home = folder();
    let home = home.path();
    assert!(run(home, &["call", "list_roles"]).status.success());
    let backups = home.join("backups");
    fs::create_dir(&backups).unwrap();
    let file = |name: &str| {
        let path = backups.join(name);
        write_private(&path, "half");
        path
    };
    let left = file("users.backup.0123456789abcdef.new");
    let others = [
        file("other.backup.0123456789abcdef.new"),
        file("users.backup.0123456789ABCDEF.new"),
        file("users.backup.0123456789abcdef.old"),
        file("users.backup.short.new"),
        file("users.backup.new"),
    ];
    let theirs = file("users.backup.00000000000000ff.new");
    let is_theirs = give_away(&theirs);
    let link = backups.join("users.backup.00000000000000ee.new");
    symlink(&others[0], &link).unwrap();
    let written = file("users.backup.00000000000000dd.new");
    let lock = fs::File::open(&written).unwrap();
    lock.lock().unwrap();
    let backup = backups.join("users.backup");
    let output = run(home, &["backup", backup.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!left.exists(), "it was left over");
    for path in others.iter().chain([&link, &written]) {
        assert!(path.symlink_metadata().is_ok(), "{}", path.display());
    }
    assert!(!is_theirs || theirs.exists());

    // A secret that was not yet renamed, beside the master key.
    let data = home.join(".local/share/user-auth");
    let left = data.join("master.key.0123456789abcdef.new");
    write_private(&left, &"5c".repeat(32));
    let output = run(home, &["call", "list_roles"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!left.exists(), "it was left over");
    let new = home.join("new.key");
    let left = home.join("new.key.0123456789abcdef.new");
    write_private(&left, &"5c".repeat(32));
    let new = new.to_str().unwrap();
    let output = run(home, &["rotate-master-key", "--new-master-key-file", new]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!left.exists(), "it was left over");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["master_key_file"], new);
}

/// Returns the output of a program that ends by itself, or ends one that does not.
fn output_in_time(command: &mut Command) -> Option<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let (sender, ended) = channel();
    let waiting = thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let output = ended.recv_timeout(Duration::from_secs(60)).ok();
    if output.is_none() {
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.unwrap().success(), "{pid}");
    }
    // The receiver is still there.
    let _ = waiting.join().unwrap();
    output
}

/// Neither waits for the other end, nor goes on as if there were nothing to read.
#[test]
fn attack_43_a_pipe_without_another_end_is_refused_at_once() {
    let home = folder();
    let pipe = home.path().join("pipe");
    let mut mkfifo = Command::new("mkfifo");
    assert!(
        mkfifo
            .args(["-m", "600"])
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for (option, expected) in [
        ("--config", "start what writes to it first"),
        ("--master-key-file", "not a regular file"),
        ("--audit-log", "start what reads it first"),
    ] {
        let mut command = command(home.path());
        command
            .stdin(Stdio::null())
            .args(["stdio", "--store", "memory", option]);
        let output = output_in_time(command.arg(&pipe));
        let output = output.unwrap_or_else(|| panic!("{option}: it waits"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{option}");
        assert!(said.contains(expected), "{option}: {said}");
    }
}
