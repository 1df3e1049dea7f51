//! Invisible characters that change how a text is read, in addresses, in logs and on a
//! terminal.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio as Pipe};

use serde_json::{Value, json};
use user_auth_host::printable::is_deceptive;
use user_auth_tests::{Options, PASSWORD, Server, Stdio, Webhook, built, command, folder};

/// A line separator, a right-to-left override, the start of a hidden string, a second kind
/// of line end, and a cursor movement.
const DECEPTIVE: &str = "eve\u{2028}\u{2029}forged\u{202e}\u{2066}\u{e0041}\u{e0042}\u{85}\
    \u{feff}\u{ad}\u{200b}\u{61c}\u{1b}[2J\r\n{\"level\":\"ERROR\"}";

/// The same without control characters.
const UNSEEN: &str = "eve\u{2028}\u{2029}forged\u{202e}\u{2066}\u{e0041}\u{feff}\u{ad}\u{200b}";

/// Sends the text in every place where a caller may choose one.
fn send_everywhere(server: &Server, bearer: &Value, text: &str) {
    for (operation, arguments) in [
        ("login", json!({"username": text, "password": PASSWORD})),
        ("login", json!({"username": "alice", "password": text})),
        (
            "register",
            json!({"username": "eve", "password": PASSWORD, "email": text}),
        ),
        ("request_password_reset", json!({"username": text})),
        (
            "list_users",
            json!({"access_token": bearer, "search": text}),
        ),
        ("verify_token", json!({"token": "x", "audience": text})),
        ("get_session", json!({"access_token": text})),
        (
            "create_api_key",
            json!({"access_token": bearer, "name": text}),
        ),
        (
            "check_permission",
            json!({"access_token": bearer, "permission": text}),
        ),
        (text, json!({text: text})),
    ] {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        server.rpc("tools/call", params);
        let data = json!({"operation": operation, "input": arguments});
        let _ = server.call("execute_primary_operation", json!({"data": data}));
    }
    server.rpc(text, json!({"uri": text}));
    let uri = format!("mcp://user-auth/sessions/{text}");
    server.rpc("resources/read", json!({"uri": uri}));
    let header: String = text.chars().filter(|c| !c.is_control()).collect();
    let _ = server.raw(&format!("mcp-name: {header}"));
}

#[test]
fn attack_49_log_lines_contain_no_deceptive_characters() {
    let home = folder();
    let path = home.path().join("audit.jsonl");
    for format in ["json", "text"] {
        let server = Options::new()
            .env("LOG_LEVEL", "DEBUG")
            .env("USER_AUTH_LOGGING_FORMAT", format)
            .arg("--audit-log")
            .arg(path.to_str().unwrap())
            .start();
        let tokens = server.new_session("alice");
        let bearer = &tokens["access_token"];
        send_everywhere(&server, bearer, DECEPTIVE);
        send_everywhere(&server, bearer, UNSEEN);
        let (_, log) = server.stop();
        assert!(log.lines().count() > 10, "{format}");
        for line in log.lines() {
            assert!(!line.contains(is_deceptive), "{format}: {line:?}");
            assert!(!line.starts_with("{\"level\":\"ERROR\"}"), "{line:?}");
            if format == "json" {
                let entry: Value = serde_json::from_str(line).unwrap();
                assert!(entry.is_object(), "{line:?}");
            }
        }
    }
    let text = fs::read_to_string(&path).unwrap();
    let mut held = 0;
    for line in text.lines() {
        assert!(!line.contains(is_deceptive), "{line:?}");
        let entry: Value = serde_json::from_str(line).unwrap();
        held += usize::from(entry.to_string().contains("forged"));
    }
    assert!(held > 0, "it was logged");
}

#[test]
fn attack_49_names_and_descriptions_with_invisible_characters_are_refused() {
    let home = folder();
    let operate = |operation: &str, input: &Value| {
        let input = input.to_string();
        let arguments = ["call", operation, "--json", &input];
        command(home.path()).args(arguments).output().unwrap()
    };
    let account = operate("create_service_account", &json!({"username": "robot"}));
    let account: Value = serde_json::from_slice(&account.stdout).unwrap();
    let key = |text: &str| json!({"user_id": account["user_id"], "name": text});
    let role = |text: &str| json!({"role": "clerk", "permissions": [], "description": text});
    let mut taken = Vec::new();
    for character in UNSEEN.chars().filter(|c| is_deceptive(*c)) {
        let text = format!("billing{character}agent");
        for (operation, input) in [("create_api_key", key(&text)), ("define_role", role(&text))] {
            if operate(operation, &input).status.code() != Some(1) {
                taken.push(format!("{operation} U+{:04X}", u32::from(character)));
            }
        }
    }
    assert!(taken.is_empty(), "{} were taken: {taken:?}", taken.len());
    // The invisible characters of an emoji hide nothing.
    let text = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}";
    for (operation, input) in [("create_api_key", key(text)), ("define_role", role(text))] {
        let output = operate(operation, &input);
        assert!(output.status.success(), "{operation}: {output:?}");
    }
}

#[test]
fn attack_49_program_output_contains_no_deceptive_characters() {
    let home = folder();
    let home = home.path();
    let seen = |output: &[u8], what: &str| {
        let text = String::from_utf8_lossy(output).into_owned();
        let is_bad = |c: char| is_deceptive(c) && c != '\n';
        assert!(!text.contains(is_bad), "{what}: {text:?}");
        text
    };
    let pair = format!("name={DECEPTIVE}");
    let username = format!("username={DECEPTIVE}");
    let store = format!("sqlite:{DECEPTIVE}?x");
    for arguments in [
        &["call", "get_user", &username][..],
        &["call", "define_role", &pair],
        &["call", DECEPTIVE],
        &["call", "list_roles", "--store", &store],
        &[DECEPTIVE],
        &["backup", DECEPTIVE, "--store", &store],
        &["inspect", DECEPTIVE],
    ] {
        let output = command(home).args(arguments).output().unwrap();
        let what = arguments.join(" ");
        seen(&output.stdout, &what);
        assert!(!seen(&output.stderr, &what).is_empty(), "{what}");
    }
    // Errors about a file of users.
    let users = home.join("users.jsonl");
    let bad = json!({"username": "bob", "roles": [DECEPTIVE], DECEPTIVE: 1});
    let mut file = fs::File::create(&users).unwrap();
    writeln!(file, "{bad}\n{{\"username\":\"\u{2028}").unwrap();
    let errors = home.join("errors.jsonl");
    let [users, errors] = [&users, &errors].map(|path| path.to_str().unwrap());
    let output = command(home)
        .args(["import", users, "--errors", errors])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    seen(&output.stderr, "import");
    let written = seen(&fs::read(errors).unwrap(), "the file of errors");
    assert_eq!(written.lines().count(), 2);

    // Output on a terminal.
    let script = format!(
        "{} call get_user 'username={}'",
        built("user-auth").display(),
        DECEPTIVE.replace('\r', "")
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &script, "/dev/null"]);
    terminal
        .env("HOME", home)
        .env("NO_COLOR", "1")
        .stdin(Pipe::null());
    let output = terminal.output().expect("script of util-linux");
    let text = seen(
        &output
            .stdout
            .iter()
            .copied()
            .filter(|byte| *byte != b'\r')
            .collect::<Vec<u8>>(),
        "a terminal",
    );
    assert!(text.contains("error"), "{text}");
}

#[test]
fn attack_49_a_message_on_standard_output_contains_no_line_separator() {
    let mut client = Stdio::start(&["--store", "memory"]);
    let method = "a\u{2028}b\u{85}";
    client.request(DECEPTIVE, method, json!({}));
    let line = client.line();
    assert!(!line.contains(is_deceptive), "{line:?}");
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["id"], DECEPTIVE);
}

#[test]
fn attack_49_addresses_that_mail_programs_read_differently_are_refused_with_the_reason() {
    let webhook = Webhook::start();
    let server = Options::new().arg("--delivery").arg(&webhook.url).start();
    let long = format!("{}@example.com", "a".repeat(65));
    let label = format!("a@{}.example", "b".repeat(64));
    let whole = format!("a@{}.example", ["b".repeat(60).as_str(); 5].join("."));
    let (mut taken, mut unexplained) = (Vec::new(), Vec::new());
    for (email, reason) in [
        ("victim,attacker@example.com", "','"),
        ("-oQ/tmp@example.com", "begin with '-'"),
        ("a@b.c\u{202e}moc", "not a domain"),
        ("a..b@example.com", "dot"),
        (".a@example.com", "dot"),
        ("a.@example.com", "dot"),
        ("a,b@example.com", "','"),
        ("a<b@example.com", "'<'"),
        ("a(c)@example.com", "'('"),
        ("mailto:a@example.com", "':'"),
        ("\"a,b\"@example.com", "quotes"),
        ("\"bob\"@example.com", "quotes"),
        ("\u{e8}ve@example.com", "U+00E8"),
        ("a\u{2028}@example.com", "U+2028"),
        ("a\u{e0041}@example.com", "U+E0041"),
        ("a@exam\u{ad}ple.com", "U+00AD"),
        ("a@[127.0.0.1]", "IP address"),
        ("a@127.0.0.1", "IP address"),
        ("a@-example.com", "not a domain"),
        ("a@example-.com", "not a domain"),
        ("a@localhost", "no dot"),
        ("a@b@example.com", "more than one '@'"),
        (&long, "at most 64"),
        (&label, "63 characters"),
        (&whole, "not a domain"),
    ] {
        let number = taken.len();
        let account = json!({
            "username": format!("eve{number}"), "password": PASSWORD, "email": email,
        });
        match server.call("register", account) {
            Ok(_) => taken.push(email.to_owned()),
            Err(error) => {
                assert_eq!(error["code"], -32000, "{email}");
                let told = error.to_string();
                if !told.contains(reason) || !told.contains("$.email") {
                    unexplained.push(format!("{email}: {told}"));
                }
            }
        }
    }
    assert!(taken.is_empty(), "{} were taken: {taken:?}", taken.len());
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(webhook.is_empty());
}

#[test]
fn the_component_and_the_host_agree_on_the_deceptive_characters() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let list = |file: &str| {
        let text = fs::read_to_string(source.join(file)).unwrap();
        let (_, list) = text.split_once("    match character {\n").unwrap();
        list.split_once("_ => false").unwrap().0.to_owned()
    };
    assert_eq!(
        list("guest/src/unicode/printable.rs"),
        list("host/src/printable.rs")
    );
}
