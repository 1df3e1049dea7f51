//! The program on the command line.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::{PASSWORD, Server, built, command, folder};

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home).args(arguments).output().unwrap()
}

/// Runs the program with a text on standard input.
fn run_with(home: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = command(home);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The program may have ended without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_piped_call_prints_json() {
    let home = folder();
    let password = format!("password={PASSWORD}");
    let output = run(
        home.path(),
        &["call", "register", "username=alice", &password],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let account: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(account["username"], "alice");

    let login = json!({"username": "alice", "password": PASSWORD}).to_string();
    let output = run(home.path(), &["call", "login", "--json", &login]);
    let tokens: Value = serde_json::from_slice(&output.stdout).unwrap();
    let token = format!("token={}", tokens["access_token"].as_str().unwrap());
    let output = run(home.path(), &["call", "verify_token", &token]);
    let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verified["sub"], account["user_id"]);
}

#[test]
fn a_failed_operation_prints_its_error_and_exits_with_1() {
    let home = folder();
    // The first call creates the database, and says so beside the error of the operation.
    run(home.path(), &["call", "list_roles"]);
    let output = run(
        home.path(),
        &["call", "login", "username=bob", "password=whatever it is"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    crate::http::assert_error_object(&error["error"], -32001, "login");
}

#[test]
fn an_error_for_people_ends_with_the_next_command() {
    let home = folder();
    let call = ["call", "get_user", "username=nobody", "--output", "table"];
    let output = run(home.path(), &call);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    let expected = "try: user-auth call list_users search=nobody\n";
    assert!(told.ends_with(expected), "{told}");
    assert!(!told.contains("user-auth_list_users"), "{told}");
}

#[test]
fn a_new_database_is_reported_once() {
    let home = folder();
    let database = home.path().join("typo.db");
    let store = format!("sqlite:{}", database.display());
    let call = ["call", "list_roles", "--store", &store];
    let told = stderr(&run(home.path(), &call));
    let line: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!(line["message"], "created a new database", "{told}");
    assert_eq!(line["path"], database.to_str().unwrap(), "{told}");
    assert_eq!(stderr(&run(home.path(), &call)), "");
}

#[test]
fn a_mistake_in_the_arguments_is_named_and_exits_with_2() {
    let home = folder();
    let output = run(home.path(), &["call", "logn"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("did you mean `login`?"),
        "{}",
        stderr(&output)
    );
    for arguments in [
        &["fly"][..],
        &["call"],
        &["call", "login", "--json", "{"],
        &["call", "login", "username"],
        &["serve", "--listen"],
        &["serve", "--store", "redis:x"],
    ] {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!stderr(&output).is_empty());
    }
}

#[test]
fn a_misspelt_word_is_answered_briefly_with_the_nearest_one() {
    let home = folder();
    for (arguments, says) in [
        (
            &["call", "logn"][..],
            "did you mean `login`? `user-auth call --help` lists them",
        ),
        (&["call", "user-auth_login"], "did you mean `login`?"),
        (
            &["call", "frobnicate"],
            "`user-auth call --help` lists them",
        ),
        (&["call"], "`user-auth call --help` lists them"),
        (
            &["call", "login", "usrname=x"],
            "did you mean `username`? `user-auth call login --help` lists its fields",
        ),
        (&["call", "login", "usrname"], "did you mean `username=…`?"),
        (&["call", "login", "username"], "write username=TEXT"),
        (
            &["call", "login", "username=a", "username=b"],
            "username is given twice",
        ),
        (&["call", "list_users", "limit=many"], "a whole number"),
        (&["call", "enroll_totp", "qr=svgg"], "did you mean `svg`?"),
        (&["call", "login"], "login needs username=TEXT"),
        (
            &["login", "username=x"],
            "did you mean `user-auth call login`?",
        ),
        (&["srve"], "'serve'"),
        (&["serve", "--lisen", "x"], "'--listen'"),
        (&["call", "list_users", "--output", "tabel"], "'table'"),
        (&["completions", "bsh"], "'bash'"),
        (&["config", "shw"], "'show'"),
        (
            &["inspect", "--set", "limits.conections=1"],
            "`connections`",
        ),
        (
            &["inspect", "--set", "loging.level=info"],
            "`logging.level`",
        ),
        (&["inspect", "--set", "logging.level=inf"], "`info`"),
    ] {
        let output = run(home.path(), arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(said.lines().count() <= 8, "{arguments:?}: {said}");
    }
    let said = stderr(&run(home.path(), &["call", "logn"]));
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// Returns the component's descriptions of its operations.
fn operations() -> Vec<Value> {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let operations = runtime.unwrap().block_on(plugin.operations()).unwrap();
    serde_json::from_str(&operations).unwrap()
}

#[test]
fn help_for_an_operation_comes_from_its_schema_and_opens_no_store() {
    let home = folder();
    let help = |arguments: &[&str]| {
        let output = run(home.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let words = String::from_utf8(output.stdout).unwrap();
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let all = help(&["call", "--help"]);
    for operation in operations() {
        let name = operation["name"].as_str().unwrap();
        let title = operation["title"].as_str().unwrap();
        assert!(all.contains(&format!("{name} {title}")), "{name}: {all}");

        let one = help(&["call", name, "-h"]);
        let schema = &operation["input_schema"];
        let texts = [&operation["description"], &operation["title"]].into_iter();
        let fields = schema["properties"].as_object();
        let fields = fields.into_iter().flatten();
        for (field, schema) in fields.clone() {
            let is_there = [":=", "="]
                .iter()
                .any(|sign| one.contains(&format!("{field}{sign}")));
            assert!(is_there, "{field} of {name}: {one}");
            assert!(schema["description"].is_string());
        }
        for text in texts.chain(fields.map(|(_, schema)| &schema["description"])) {
            let text = text
                .as_str()
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            assert!(one.contains(&text), "{text} of {name}: {one}");
        }
    }
    assert!(!home.path().join(".local").exists(), "no store was made");
    let output = run(home.path(), &["call", "logn", "--help"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean `login`?"));
}

#[test]
fn a_secret_is_read_from_a_pipe_only_on_request() {
    let home = folder();
    let home = home.path();
    let line = |text: &str| format!("{text}\n").into_bytes();
    let register = ["call", "register", "username=alice"];
    let with_flag = [&register[..], &["--password-stdin"]].concat();

    let output = run_with(home, &register, &line(PASSWORD));
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("register needs password"), "{said}");
    assert!(said.contains("--password-stdin"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");

    let output = run_with(home, &with_flag, &line(PASSWORD));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Windows line ends, and no line end at all.
    for piped in [
        format!("\u{feff}{PASSWORD}\r\n").into_bytes(),
        PASSWORD.into(),
        format!("{PASSWORD}\nanother line\n").into_bytes(),
    ] {
        let login = ["call", "login", "username=alice", "--password-stdin"];
        let output = run_with(home, &login, &piped);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }

    // One line for each secret, in the order of the help.
    let login = json!({"username": "alice", "password": PASSWORD}).to_string();
    let tokens = run(home, &["call", "login", "--json", &login]);
    let tokens: Value = serde_json::from_slice(&tokens.stdout).unwrap();
    let token = json!({"access_token": tokens["access_token"]}).to_string();
    let change = [
        "call",
        "change_password",
        "--json",
        &token,
        "--password-stdin",
    ];
    let new = "a much better battery staple";
    let output = run_with(home, &change, &line(PASSWORD));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("new_password on standard input is missing"));
    let output = run_with(home, &change, &line(&format!("{PASSWORD}\n{new}")));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    for (arguments, piped, says) in [
        (&with_flag[..], &b""[..], "is missing"),
        (&with_flag, b"\n", "is missing"),
        (&with_flag, b"\xff\xfeh\0i\0\n\0", "UTF-16"),
        (
            &["call", "list_users", "--password-stdin"],
            b"x\n",
            "no secret to read",
        ),
        (
            &["call", "login", "--json", "-", "--password-stdin"],
            b"{}",
            "both read",
        ),
        (
            &["call", "login", "--json", "-"],
            br#"{"username": "a"}"#,
            "is missing from the JSON",
        ),
    ] {
        let output = run_with(home, arguments, piped);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let input = json!({"username": "alice", "password": new}).to_string();
    let marked = format!("\u{feff}{input}");
    let output = run_with(home, &["call", "login", "--json", "-"], marked.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn completion_scripts_ask_the_program_for_candidates() {
    let home = folder();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(home.path(), &["completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("USER_AUTH_COMPLETE"), "{script}");
    }
    let complete = |words: &[&str]| -> Vec<String> {
        let mut shell = Command::new("bash");
        let program = built("user-auth");
        let script = r#"
            source <("$1" completions bash); shift
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            last="${COMP_WORDS[COMP_CWORD]}"
            [[ $last == = ]] && last=
            _clap_complete_user_auth user-auth "$last" "" 2> /dev/null
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        let environment = command(home.path());
        let environment = environment.get_envs();
        shell
            .args(["--norc", "-c", script, "bash"])
            .arg(program)
            .arg("user-auth")
            .args(words)
            .envs(environment.filter_map(|(name, value)| Some((name, value?))));
        let output = shell.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|word| word.trim().to_owned()).collect()
    };
    let operations = complete(&["call", ""]);
    for name in ["login", "list_users", "verify_audit_chain"] {
        assert!(operations.iter().any(|one| one == name), "{operations:?}");
    }
    assert_eq!(complete(&["call", "regi"]), ["register"]);
    let register = ["username=", "password=", "email="];
    assert_eq!(complete(&["call", "register", ""])[..3], register);
    assert_eq!(complete(&["call", "register", "us"]), ["username="]);
    // bash splits words at `=`.
    let rest = complete(&["call", "register", "username", "=", "alice", ""]);
    assert_eq!(rest[..2], ["password=", "email="], "{rest:?}");
    assert_eq!(complete(&["call", "enroll_totp", "qr", "=", "s"]), ["svg"]);
    let values = complete(&["call", "enroll_totp", "qr", "="]);
    assert_eq!(values[..3], ["none", "text", "svg"]);
    let values = complete(&["call", "import_users", "dry_run", "=", ""]);
    assert_eq!(values[..2], ["true", "false"]);
    assert_eq!(complete(&["backu"]), ["backup"]);
    assert_eq!(complete(&["call", "list_users", "--outp"]), ["--output"]);
    assert!(!home.path().join(".local").exists(), "no store was made");
}

#[test]
fn a_failed_start_names_the_cause_and_exits_with_3() {
    let home = folder();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let other = wat::parse_str(r#"(component (import "acme:widgets/spin@1.0.0" (instance)))"#);
    fs::write(path("other.wasm"), other.unwrap()).unwrap();
    fs::write(path("module.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    fs::write(path("garbage.wasm"), b"not wasm").unwrap();
    fs::write(path("garbage.db"), vec![b'x'; 10_000]).unwrap();
    fs::create_dir(path("folder")).unwrap();
    let server = Server::start();
    let taken = server.url.strip_prefix("http://").unwrap();
    for (arguments, expected) in [
        (
            ["--component", &path("other.wasm")],
            "acme:widgets/spin@1.0.0",
        ),
        (["--component", &path("module.wasm")], "module.wasm"),
        (["--component", &path("garbage.wasm")], "garbage.wasm"),
        (["--component", &path("absent.wasm")], "absent.wasm"),
        (
            ["--store", &format!("sqlite:{}", path("garbage.db"))],
            "garbage.db",
        ),
        (
            ["--store", &format!("sqlite:{}", path("no/such/folder.db"))],
            "no/such",
        ),
        (["--store", &format!("sqlite:{}", path("folder"))], "folder"),
        (["--listen", taken], taken),
        (["--listen", "nowhere"], "nowhere"),
    ] {
        let mut all = vec!["serve"];
        if arguments[0] != "--listen" {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(arguments);
        let output = run(home.path(), &all);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(expected),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn help_lists_every_command() {
    let home = folder();
    let help = String::from_utf8(run(home.path(), &["--help"]).stdout).unwrap();
    for name in [
        "serve",
        "stdio",
        "call",
        "import",
        "backup",
        "restore",
        "rotate-master-key",
        "inspect",
        "config",
        "completions",
        "man",
    ] {
        assert!(help.contains(name), "{name} in --help");
        let output = run(home.path(), &[name, "--help"]);
        assert!(output.status.success(), "{name} --help");
        let help = String::from_utf8(output.stdout).unwrap();
        let shows_secret = help.contains(r#""password":"#);
        assert!(!shows_secret, "others on the machine see arguments: {help}");
    }
}

#[test]
fn an_invalid_setting_stops_the_program() {
    let home = folder();
    let output = command(home.path())
        .args(["call", "get_capabilities"])
        .env("USER_AUTH_PASSWORD_MIN_LENGTH", "three")
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
    let log = stderr(&output);
    assert!(
        log.contains("USER_AUTH_PASSWORD_MIN_LENGTH is 'three'"),
        "{log}"
    );
}

#[test]
fn store_parameters_never_become_part_of_a_file_name() {
    let home = folder();
    let home = home.path();
    let database = home.join("ua.db");
    let path = database.display();
    for (store, says) in [
        (format!("sqlite://{path}?mode=rwc"), "no parameters"),
        (format!("sqlite:{path}?mode=rwc"), "no parameters"),
        (format!("sqlite://{path}#main"), "no fragment"),
        (format!("sqlite://{path}%20x"), "as it is"),
        ("sqlite://ua.db".to_owned(), "name of a machine"),
        (format!("file:{path}"), "sqlite:PATH"),
        (
            "postgres://u@127.0.0.1/x?mode=rwc".to_owned(),
            "postgres://USER",
        ),
    ] {
        let output = run(home, &["call", "list_roles", "--store", &store]);
        assert!(!output.status.success(), "{store}");
        let told = stderr(&output);
        assert!(told.contains(says), "{store}: {told}");
        let mut made = fs::read_dir(home).unwrap();
        assert!(made.next().is_none(), "{store} made a file");
    }
    // The URL form that other programs write for an absolute path is accepted.
    let store = format!("sqlite://{path}");
    let output = run(home, &["call", "list_roles", "--store", &store]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(database.is_file());
}
