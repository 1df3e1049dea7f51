//! The output of the program at a terminal.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use user_auth_tests::{PASSWORD, Terminal, built, command, folder};

/// The commands whose help is checked: all of them.
const PAGES: [&[&str]; 17] = [
    &["--help"],
    &["serve", "--help"],
    &["stdio", "--help"],
    &["call", "--help"],
    &["call", "login", "--help"],
    &["call", "query_audit", "--help"],
    &["import", "--help"],
    &["backup", "--help"],
    &["restore", "--help"],
    &["rotate-master-key", "--help"],
    &["inspect", "--help"],
    &["config", "--help"],
    &["config", "show", "--help"],
    &["config", "check", "--help"],
    &["config", "schema", "--help"],
    &["completions", "--help"],
    &["man", "--help"],
];

fn program(home: &Path, arguments: &[&str]) -> Command {
    let mut command = command(home);
    command.args(arguments);
    command
}

/// Runs the program at a terminal of 80 columns to its end.
fn run_at_terminal(home: &Path, arguments: &[&str]) -> String {
    let (code, shown) = Terminal::start(&program(home, arguments), 80).end();
    assert_eq!(code, Some(0), "{arguments:?}: {shown}");
    shown
}

/// Runs the program with its output piped.
fn run_piped(home: &Path, operation: &str, input: Value) -> Value {
    let output = program(home, &["call", operation, "--json", &input.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{operation}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        let (_, rest) = part.split_once('m').unwrap_or_default();
        plain + rest
    })
}

fn register(home: &Path, username: &str) -> Value {
    let input = json!({"username": username, "password": PASSWORD});
    run_piped(home, "register", input)
}

fn log_in(home: &Path, username: &str) -> String {
    let input = json!({"username": username, "password": PASSWORD});
    let tokens = run_piped(home, "login", input);
    format!("access_token={}", tokens["access_token"].as_str().unwrap())
}

#[test]
fn help_wraps_lines_at_words_at_any_width() {
    let home = folder();
    for page in PAGES {
        let whole = Terminal::start(&program(home.path(), page), 200).end().1;
        let whole = without_colours(&whole);
        let words: BTreeSet<&str> = whole.split_whitespace().collect();
        for columns in [80, 60] {
            let (code, narrow) = Terminal::start(&program(home.path(), page), columns).end();
            assert_eq!(code, Some(0));
            let narrow = without_colours(&narrow);
            for line in narrow.lines() {
                let width = line.chars().count();
                assert!(width <= usize::from(columns), "{page:?}: {line}");
            }
            for word in narrow.split_whitespace() {
                assert!(words.contains(word), "{page:?} at {columns}: {word}");
            }
        }
    }
}

#[test]
fn lists_are_tables_that_fit_and_json_on_request() {
    let home = folder();
    let home = home.path();
    let alice = register(home, "alice");
    let wide = register(home, "김철수");
    let token = log_in(home, "alice");
    run_piped(home, "create_service_account", json!({"username": "agent"}));
    let role = json!({"role": "clerk", "permissions": ["billing:read", "billing:write"]});
    run_piped(home, "define_role", role);
    run_piped(
        home,
        "assign_role",
        json!({"username": "alice", "role": "clerk"}),
    );
    let key = json!({"user_id": alice["user_id"], "name": "first", "scopes": ["billing:*"]});
    run_piped(home, "create_api_key", key);

    let user_id = alice["user_id"].as_str().unwrap();
    let keys_of = format!("user_id={user_id}");
    for (arguments, expected) in [
        (&["list_users"][..], &["username", "status", user_id][..]),
        (&["list_sessions", &token], &["session id", "true"]),
        (
            &["list_roles"],
            &["role", "permissions", "clerk", "billing:read"],
        ),
        (
            &["list_api_keys", &keys_of],
            &["key id", "first", "billing:*"],
        ),
        (&["list_signing_keys"], &["kid", "status", "signing"]),
        (
            &["query_audit"],
            &["operation", "outcome", "assign_role", "operator", "success"],
        ),
        (
            &["explain_permissions", "username=alice"],
            &["billing:read", "clerk"],
        ),
        (
            &["get_capabilities"],
            &["policies:", "operations", "list_users"],
        ),
        (&["get_user", "username=alice"], &["user_id:", "roles:"]),
    ] {
        let all = [&["call"], arguments].concat();
        let table = run_at_terminal(home, &all);
        let plain = without_colours(&table);
        for line in plain.lines() {
            let is_wide = line.contains("김철수");
            let columns = line.chars().count() + if is_wide { 3 } else { 0 };
            assert!(columns <= 80, "{arguments:?}: {line}");
        }
        for part in expected {
            assert!(plain.contains(part), "{arguments:?}: {part} in {plain}");
        }
        let is_json = |line: &str| line.trim_start().starts_with(['{', '}', '[', '"']);
        assert!(!plain.lines().any(is_json), "{plain}");

        let asked = [&all[..], &["--output", "json"]].concat();
        let json = run_at_terminal(home, &asked);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(json.is_object(), "{arguments:?}: {json}");
    }

    // Columns are aligned, also below characters that are two columns wide.
    let table = without_colours(&run_at_terminal(home, &["call", "list_users"]));
    let wide_id = wide["user_id"].as_str().unwrap();
    let place = |id: &str| {
        let line = table.lines().find(|line| line.contains(id)).unwrap();
        let before = line.split(id).next().unwrap();
        before.chars().count() + before.chars().filter(|char| !char.is_ascii()).count()
    };
    assert_eq!(place(user_id), place(wide_id), "{table}");
}

#[test]
fn values_to_copy_are_unbroken_and_colours_can_be_turned_off() {
    let home = folder();
    let home = home.path();
    register(home, "alice");
    let login = [
        "call",
        "login",
        "username=alice",
        &format!("password={PASSWORD}"),
    ];
    let tokens = run_at_terminal(home, &login);
    assert!(tokens.contains('\x1b'), "{tokens}");
    let plain = without_colours(&tokens);
    let line = plain.lines().find(|line| line.starts_with("access_token:"));
    let token = line.unwrap().split_whitespace().last().unwrap();
    let verified = run_piped(home, "verify_token", json!({"token": token}));
    assert_eq!(verified["active"], true, "{plain}");

    for arguments in [
        &login[..],
        &["call", "list_users"],
        &["--help"],
        &["call", "logn"],
    ] {
        let mut quiet = program(home, arguments);
        quiet.env("NO_COLOR", "1");
        let (_, shown) = Terminal::start(&quiet, 80).end();
        assert!(!shown.contains('\x1b'), "{shown:?}");
        let piped = program(home, arguments).output().unwrap();
        assert!(!piped.stdout.contains(&0x1b) && !piped.stderr.contains(&0x1b));
    }
    let forced = program(home, &["call", "list_users", "--output", "table"]);
    let forced = String::from_utf8({ forced }.output().unwrap().stdout).unwrap();
    assert!(
        forced.starts_with("username") && !forced.contains('\x1b'),
        "{forced}"
    );
}

#[test]
fn no_value_moves_the_cursor_or_reverses_text() {
    let home = folder();
    let home = home.path();
    let evil = "a\u{1b}[2J\u{202e}b\u{9b}31m\u{2066}";
    let role = |text: &str| json!({"role": "clerk", "permissions": ["a"], "description": text});
    let alice = register(home, "alice");
    let key = |text: &str| json!({"user_id": alice["user_id"], "name": text});
    for (operation, input) in [
        ("create_api_key", key(evil)),
        ("create_api_key", key("n\u{202e}x")),
        ("define_role", role(evil)),
        ("define_role", role("n\u{202e}x")),
    ] {
        let arguments = ["call", operation, "--json", &input.to_string()];
        let output = program(home, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{operation}: {output:?}");
    }
    let keys_of = format!("user_id={}", alice["user_id"].as_str().unwrap());
    for arguments in [
        &["call", "list_roles"][..],
        &["call", "list_roles", "--output", "json"],
        &["call", "list_api_keys", &keys_of],
        &["call", "get_user", "username=\u{202e}\u{9b}2Jx"],
        &["call", "l\u{202e}ogin"],
    ] {
        let mut quiet = program(home, arguments);
        quiet.env("NO_COLOR", "1");
        let (_, shown) = Terminal::start(&quiet, 80).end();
        for deceptive in ['\u{1b}', '\u{202e}', '\u{9b}', '\u{2066}'] {
            assert!(!shown.contains(deceptive), "{arguments:?}: {shown:?}");
        }
    }
}

#[test]
fn a_start_that_compiles_says_so_at_a_terminal_only() {
    let home = folder();
    let call = |cache: &Path| {
        let mut call = program(home.path(), &["call", "list_roles"]);
        call.env("XDG_CACHE_HOME", cache);
        call
    };
    let cache = folder();
    let said = "compiling the component; later starts use the cache";
    let first = Terminal::start(&call(cache.path()), 80).end().1;
    assert!(first.contains(said), "{first}");
    let second = Terminal::start(&call(cache.path()), 80).end().1;
    assert!(!second.contains(said), "{second}");
    let piped = call(folder().path()).output().unwrap();
    assert!(piped.stderr.is_empty(), "{piped:?}");
}

#[test]
fn destructive_operations_ask_first() {
    let home = folder();
    let home = home.path();
    for name in ["alice", "bob", "carol", "dave"] {
        register(home, name);
    }
    let is_there = |name: &str| {
        let users = run_piped(home, "list_users", json!({"search": name}));
        !users["users"].as_array().unwrap().is_empty()
    };
    for answer in ["n\n", "\n", "delete\n"] {
        let delete = program(home, &["call", "delete_user", "username=alice"]);
        let mut terminal = Terminal::start(&delete, 80);
        terminal.expect("Delete a user: username alice? [y/N] ");
        terminal.type_in(answer);
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.ends_with("nothing was changed\n"), "{shown}");
    }
    assert!(is_there("alice"));
    let delete = program(home, &["call", "delete_user", "username=alice"]);
    let mut terminal = Terminal::start(&delete, 80);
    terminal.expect("[y/N] ");
    terminal.type_in("y\n");
    assert_eq!(terminal.end().0, Some(0));
    assert!(!is_there("alice"));

    run_at_terminal(home, &["call", "delete_user", "username=bob", "--yes"]);
    assert!(!is_there("bob"));
    // Scripts continue to run as written.
    run_piped(home, "delete_user", json!({"username": "carol"}));
    assert!(!is_there("carol"));
    // Operations that end nothing do not ask.
    run_at_terminal(home, &["call", "disable_user", "username=dave", "-y"]);
    run_at_terminal(home, &["call", "enable_user", "username=dave"]);
}

#[test]
fn a_new_password_is_typed_twice_and_no_secret_is_echoed() {
    let home = folder();
    let home = home.path();
    let begin = |arguments: &[&str]| Terminal::start(&program(home, arguments), 80);

    let mut terminal = begin(&["call", "register", "username=alice"]);
    terminal.expect("password: ");
    terminal.type_secret(&format!("{PASSWORD}\n"));
    terminal.expect("password again: ");
    terminal.type_secret("another one that is long\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(
        shown.contains("the two entries of password differ"),
        "{shown}"
    );
    assert!(!shown.contains(PASSWORD) && !shown.contains("another"));

    let mut terminal = begin(&["call", "register", "username=alice"]);
    for prompt in ["password: ", "password again: "] {
        terminal.expect(prompt);
        terminal.type_secret(&format!("{PASSWORD}\n"));
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");

    // An existing password is asked for once, and its replacement twice.
    let token = log_in(home, "alice");
    let mut terminal = begin(&["call", "change_password", &token]);
    let new = "a much better battery staple";
    for (prompt, secret) in [
        ("current_password: ", PASSWORD),
        ("new_password: ", new),
        ("new_password again: ", new),
    ] {
        terminal.expect(prompt);
        terminal.type_secret(&format!("{secret}\n"));
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(new), "{shown}");

    let mut terminal = begin(&["call", "login", "username=alice"]);
    terminal.expect("password: ");
    terminal.type_secret(&format!("{new}\n"));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("access_token"), "{shown}");

    // Nothing is asked where another field is missing.
    let (code, shown) = begin(&["call", "login"]).end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("login needs username=TEXT"), "{shown}");
}

#[test]
fn an_authenticator_app_is_enrolled_with_a_qr_code_in_the_terminal() {
    let home = folder();
    let home = home.path();
    register(home, "alice");
    let token = log_in(home, "alice");
    let screen = run_at_terminal(home, &["call", "enroll_totp", &token]);
    let plain = without_colours(&screen);
    for part in ["secret:", "otpauth_uri:", "otpauth://totp/", "▀"] {
        assert!(plain.contains(part), "{plain}");
    }
    assert!(!plain.contains("svg"), "{plain}");
    assert!(
        plain
            .lines()
            .all(|line| line.starts_with("otpauth_uri") || line.chars().count() < 80)
    );
    // The code is the same dark on light and light on dark.
    assert!(screen.contains("\x1b[97;40m█"), "{screen:?}");

    let token = token.trim_start_matches("access_token=");
    let enrolment = run_piped(home, "enroll_totp", json!({"access_token": token}));
    assert_eq!(enrolment.as_object().unwrap().len(), 2, "{enrolment}");
    let with_picture = json!({"access_token": token, "qr": "svg"});
    let enrolment = run_piped(home, "enroll_totp", with_picture);
    assert!(enrolment["qr"].as_str().unwrap().contains("<svg"));
}

#[test]
fn the_log_is_readable_text_at_a_terminal() {
    let home = folder();
    let serve = program(home.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let mut terminal = Terminal::start(&serve, 80);
    let greeting = terminal.expect("Ctrl-C stops it.");
    let url = greeting.split("MCP     ").nth(1).unwrap();
    let url = url.split_whitespace().next().unwrap();
    let call = |tool: &str, arguments: Value| {
        let name = format!("user-auth_{tool}");
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments},
        });
        let mut answer = ureq::post(url).send_json(&message).unwrap();
        answer.body_mut().read_json::<Value>().unwrap()
    };
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let answer = call("register", credentials.clone());
    let user_id = answer["result"]["structuredContent"]["user_id"].clone();
    let user_id = user_id.as_str().unwrap();
    call("login", credentials);
    let log = terminal.expect("session_id=").replace('\r', "");
    let log = without_colours(&log);
    let line = format!("INFO  login success: account {user_id}, by its owner from 127.0.0.1");
    assert!(log.contains(&line), "{log}");
    assert!(!log.contains("\\\"") && !log.contains('{'), "{log}");
    let line = log
        .lines()
        .find(|line| line.contains("register success"))
        .unwrap();
    let (time, _) = line.split_once(' ').unwrap();
    assert_eq!(time.len(), "2026-11-22T19:13:18Z".len(), "{line}");
    terminal.type_in("\x03");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn bash_completes_operations_fields_and_values() {
    let home = folder();
    let folder = built("user-auth").parent().unwrap().to_owned();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"])
        .envs(
            command(home.path())
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", path)
        .env("PS1", "> ")
        .env("NO_COLOR", "1");
    let mut terminal = Terminal::start(&bash, 200);
    terminal.expect("> ");
    terminal
        .type_in("bind 'set enable-bracketed-paste off'; source <(user-auth completions bash)\n");
    for (typed, shown) in [
        // A command, an operation and a field, after which there is no space.
        ("user-auth ca\tunlock_\tusern\tunknown-user\n", "error: "),
        // The values of a field.
        ("user-auth call enroll_totp q\ts\t\n", "error: "),
        // An option and a field that is not there yet.
        (
            "user-auth call login usern\tx pass\ty --outp\tjs\t\n",
            "\"code\": -32001",
        ),
    ] {
        terminal.type_in(typed);
        let screen = terminal.expect(shown) + &terminal.expect("> ");
        for wrong in [
            "has no value",
            "no field",
            "unexpected",
            "must be one of",
            "needs",
        ] {
            assert!(!screen.contains(wrong), "{typed:?}: {screen}");
        }
    }
    terminal.type_in("exit\n");
    terminal.end();
}
