//! What another user of the machine puts into the way of the program: compiled code,
//! links, and files that they may write. A test that changes the owner of a file has to
//! be root; elsewhere that part of it does nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use user_auth_tests::{built, command, folder, write_private};

/// A user who has nothing to do with this.
const STRANGER: u32 = 65534;
/// The smallest component there is. It has none of what a plugin has.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// Whether it could be given away.
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

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A cache of its own, and what another user has compiled in theirs.
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
        // It is compiled, and only then found to be no plugin.
        let output = cache.start_with(&cache.path("other"), &evil);
        assert!(!output.status.success());
        let planted = fs::read(compiled(&cache.path("other"))).unwrap();
        assert!(cache.start().status.success());
        Cache { planted, ..cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The folder above that of the cache.
    fn base(&self) -> PathBuf {
        self.path("mine")
    }

    /// Runs a component that ends at once; with the planted code in its place the
    /// program would not start.
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

/// The only compiled component of a cache.
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
fn attack_43_compiled_code_that_was_planted_is_not_run_and_is_replaced() {
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
        let log = told(&output);
        assert!(log.contains("is not used"), "{how}: {log}");
        assert!(log.contains(file.to_str().unwrap()), "{how}: {log}");
        // What lies there now is ours, and good.
        let metadata = file.symlink_metadata().unwrap();
        assert!(metadata.is_file() && metadata.nlink() == 1, "{how}");
        assert_eq!(metadata.mode() & 0o777, 0o600, "{how}");
        let output = cache.start();
        assert!(output.status.success() && told(&output).is_empty(), "{how}");
    }
    assert!(run.is_empty(), "planted code was run: {run:?}");
}

#[test]
fn attack_43_a_cache_that_is_open_to_all_is_not_used() {
    let cache = Cache::new();
    let folder = cache.base().join("user-auth");
    set_mode(&folder, 0o777);
    fs::write(compiled(&cache.base()), &cache.planted).unwrap();
    let output = cache.start();
    assert!(output.status.success(), "{}", told(&output));
    let advice = format!("chmod 700 {}", folder.display());
    assert!(told(&output).contains(&advice), "{}", told(&output));
    // As it is advised.
    set_mode(&folder, 0o700);
    let output = cache.start();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn attack_43_a_cache_that_is_swapped_again_and_again_is_not_looked_into() {
    const STARTS: usize = 40;
    let cache = Cache::new();
    let base = cache.base();
    // Others may write the folder around it.
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
                // Both at once.
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
    assert_eq!(refused, 0, "planted code was run in so many of {STARTS}");
}

/// A start that reads the file is refused, and says what to do.
#[track_caller]
fn assert_refused(output: &Output, file: &Path, says: &[&str]) {
    let log = told(output);
    assert!(!output.status.success(), "it was used: {log}");
    for says in [&[file.to_str().unwrap()], says].concat() {
        assert!(log.contains(says), "{says}: {log}");
    }
}

/// Each file that says what is run or whom to trust, and each that holds a secret, as
/// others may write it, as others may read it, and as a stranger's.
#[test]
fn attack_43_files_that_others_have_a_hand_in_are_refused_with_what_to_do() {
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
    assert!(call().status.success(), "{}", told(&call()));
    assert!(hook().status.success(), "{}", told(&hook()));
    // It is no component of ours, and nothing else is wrong.
    let good = told(&serve());
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
            let log = told(&output);
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
            true => expect("written by others", "chmod 600"),
            false => expect("written by others", "chmod go-w"),
        }
        if is_secret {
            for mode in [0o644, 0o640, 0o604] {
                set_mode(file, mode);
                expect("read by others", "chmod 600");
            }
        }
        set_mode(file, owned.mode());
        if give_away(file) {
            expect("of a stranger", "belongs to user 65534");
            chown(file, Some(owned.uid()), Some(owned.gid())).unwrap();
        }
    }
    assert!(
        taken.is_empty(),
        "{} were used:\n{}",
        taken.len(),
        taken.join("\n")
    );
    // Secrets are mounted by links: what counts is what is at their end.
    let (real, link) = (at("real.key"), master_key.clone());
    fs::rename(&master_key, &real).unwrap();
    symlink(&real, &link).unwrap();
    assert!(call().status.success(), "{}", told(&call()));
    set_mode(&real, 0o644);
    assert_refused(&call(), &link, &["chmod 600"]);
}

#[test]
fn attack_43_a_link_of_another_user_leads_no_output_anywhere() {
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
        // A folder of the kind of /tmp; and one where others could rename our own link.
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
        // A file of a stranger, who would read along.
        fs::remove_file(&link).unwrap();
        fs::write(&link, "").unwrap();
        if give_away(&link) {
            assert_refused(&start(), &link, &["belongs to user 65534"]);
            assert_eq!(link.metadata().unwrap().len(), 0, "{name}");
        }
        // What is created is for its owner alone.
        fs::remove_file(&link).unwrap();
        assert!(start().status.success(), "{name}: {}", told(&start()));
        assert_eq!(link.metadata().unwrap().mode() & 0o777, 0o600, "{name}");
        fs::remove_file(&link).unwrap();
        // A link of one's own is followed, as /dev/stderr is.
        set_mode(&open, 0o700);
        symlink("/dev/stderr", &link).unwrap();
        assert!(start().status.success(), "{name}: {}", told(&start()));
    }
}

#[test]
fn attack_43_a_database_that_others_have_a_hand_in_is_refused() {
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
    assert!(call().status.success(), "{}", told(&call()));
    let beside = |suffix: &str| {
        let mut name = database.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    set_mode(&database, 0o666);
    assert_refused(&call(), &database, &["chmod go-w"]);
    set_mode(&database, 0o644);
    let output = call();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("chmod o-r"), "{}", told(&output));
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
            // Where all may create files, but not rename those of others.
            set_mode(&data, 0o1777);
            assert_refused(&call(), &planted, &["belongs to user 65534"]);
            set_mode(&data, 0o700);
        }
        fs::remove_file(&planted).unwrap();
    }
    // What counts is what lies beside the file that a link leads to.
    let real = home.join("real.db");
    fs::rename(&database, &real).unwrap();
    symlink(&real, &database).unwrap();
    assert!(call().status.success(), "{}", told(&call()));
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
        // An administrator looks after what a service keeps in a folder of its own.
        chown(&data, Some(STRANGER), None).unwrap();
        chown(&database, Some(STRANGER), None).unwrap();
        assert!(call().status.success(), "{}", told(&call()));
    }
    let count = "SELECT count(*) FROM entries";
    let records: i64 = Connection::open(&database)
        .unwrap()
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert!(records > 0);
}

/// What killed processes leave is swept by the next that writes the same file; what is
/// not theirs, or is being written, stays.
#[test]
fn attack_43_what_a_killed_process_left_is_swept_and_nothing_else() {
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
    assert!(output.status.success(), "{}", told(&output));
    assert!(!left.exists(), "it was left over");
    for path in others.iter().chain([&link, &written]) {
        assert!(path.symlink_metadata().is_ok(), "{}", path.display());
    }
    assert!(!is_theirs || theirs.exists());

    // A secret that was not given its name, beside the master key.
    let data = home.join(".local/share/user-auth");
    let left = data.join("master.key.0123456789abcdef.new");
    write_private(&left, &"5c".repeat(32));
    let output = run(home, &["call", "list_roles"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!left.exists(), "it was left over");
    let new = home.join("new.key");
    let left = home.join("new.key.0123456789abcdef.new");
    write_private(&left, &"5c".repeat(32));
    let new = new.to_str().unwrap();
    let output = run(home, &["rotate-master-key", "--new-master-key-file", new]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!left.exists(), "it was left over");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["master_key_file"], new);
}
