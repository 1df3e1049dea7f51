//! The program on the command line.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use user_auth_tests::{PASSWORD, Server, command, folder};

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn one_operation_from_the_shell_gives_json_when_piped() {
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
fn an_operation_that_fails_says_why_and_exits_with_1() {
    let home = folder();
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
fn a_slip_in_the_arguments_is_named_and_exits_with_2() {
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
fn a_host_that_cannot_start_says_what_and_why_and_exits_with_3() {
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
fn help_and_completions_name_every_command() {
    let home = folder();
    let help = String::from_utf8(run(home.path(), &["--help"]).stdout).unwrap();
    let bash = String::from_utf8(run(home.path(), &["completions", "bash"]).stdout).unwrap();
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
    ] {
        assert!(help.contains(name), "{name} in --help");
        assert!(bash.contains(name), "{name} in the completions");
        let output = run(home.path(), &[name, "--help"]);
        assert!(output.status.success(), "{name} --help");
        let help = String::from_utf8(output.stdout).unwrap();
        let shows_secret = help.contains(r#""password":"#);
        assert!(!shows_secret, "others on the machine see arguments: {help}");
    }
}

#[test]
fn a_setting_that_cannot_be_used_stops_everything() {
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
fn parameters_of_a_store_become_no_part_of_the_name_of_a_file() {
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
    // The URL that others write for an absolute path is understood.
    let store = format!("sqlite://{path}");
    let output = run(home, &["call", "list_roles", "--store", &store]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(database.is_file());
}
