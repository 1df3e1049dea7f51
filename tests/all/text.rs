//! Texts as people type them: passwords and user names in every script, in both normal
//! forms, with emoji, and with surrounding spaces.

use std::fs;
use std::path::Path;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder};

fn register(server: &Server, username: &str, password: &str) -> Result<Value, Value> {
    let account = json!({"username": username, "password": password});
    server.call("register", account)
}

fn login(server: &Server, username: &str, password: &str) -> Result<Value, Value> {
    let credentials = json!({"username": username, "password": password});
    server.call("login", credentials)
}

fn problem(error: &Value) -> &str {
    let fields = &error["data"]["details"]["fields"];
    fields[0]["problem"].as_str().unwrap_or_default()
}

#[test]
fn passwords_with_emoji_signs_and_scripts_of_current_unicode_are_accepted() {
    let server = Server::start();
    for (number, password) in [
        "the weather today is \u{1f642} outside",
        "think \u{1f914} twice, then \u{1f44d}\u{1f3fd}",
        "\u{20bf} and \u{20bd} and \u{20b9} and \u{20ba}",
        "with \u{2764}\u{fe0f} from the old town",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466} went to the sea",
        "a \u{1f9d1}\u{1f3ff}\u{200d}\u{1f9b3} with a \u{1f469}\u{200d}\u{1f52c} in a lab",
        "\u{1f1e9}\u{1f1ea} \u{1f1eb}\u{1f1f7} \u{1f1ef}\u{1f1f5} \u{1f3f4}\u{200d}\u{2620}\u{fe0f} ahoy",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} rain on the moor",
        "press 1\u{fe0f}\u{20e3} or #\u{fe0f}\u{20e3} to go on",
        "\u{1fae0} \u{1fae8} \u{1fae9} are new here",
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645} \u{628}\u{631}\u{648}\u{645} \u{62e}\u{627}\u{646}\u{647}",
        "\u{5e9}\u{5dc}\u{5d5}\u{5dd} 613 \u{5de}\u{5b9}\u{5e9}\u{5c1}\u{5b6}\u{5d4} abc",
        "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947} \u{926}\u{941}\u{928}\u{93f}\u{92f}\u{93e} \u{915}\u{94d}\u{200d}\u{937}",
        "\u{e2a}\u{e27}\u{e31}\u{e2a}\u{e14}\u{e35}\u{e0a}\u{e32}\u{e27}\u{e42}\u{e25}\u{e01}\u{e17}\u{e38}\u{e01}\u{e04}\u{e19}",
        "\u{f56}\u{f7c}\u{f51}\u{f0b}\u{f61}\u{f72}\u{f42}\u{f0b}\u{f56}\u{f7c}\u{f51}\u{f0b}\u{f66}\u{f90}\u{f51}\u{f0b}",
        "\u{845b}\u{e0100}\u{98fe}\u{533a}\u{3068}\u{845b}\u{57ce}\u{5e02}\u{306e}\u{9593}\u{306b}\u{3042}\u{308b}\u{5c71}\u{3068}\u{5ddd}",
        "\u{9fcd} \u{2b820} \u{2ceb0} \u{30000} rare ones",
        "\u{ff43}\u{ff4f}\u{ff52}\u{ff52}\u{ff45}\u{ff43}\u{ff54} \u{ff76}\u{ff9e}\u{ff77}\u{ff9e} half and full",
        "an apple \u{f8ff} a day keeps",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("user{number}");
        register(&server, &name, password).unwrap_or_else(|error| panic!("{password}: {error}"));
        assert!(login(&server, &name, password).is_ok(), "{password}");
        let shorter: String = password.chars().skip(1).collect();
        assert!(login(&server, &name, &shorter).is_err(), "{password}");
    }
}

#[test]
fn normal_forms_and_kinds_of_spaces_of_one_password_are_equal() {
    let server = Server::start();
    for (name, password, typed) in [
        (
            "hangul",
            "김철수는 서울에서 일한다 매일",
            "\u{1100}\u{1175}\u{11b7}\u{110e}\u{1165}\u{11af}\u{1109}\u{116e}\u{1102}\u{1173}\u{11ab} \
             \u{1109}\u{1165}\u{110b}\u{116e}\u{11af}\u{110b}\u{1166}\u{1109}\u{1165} \
             \u{110b}\u{1175}\u{11af}\u{1112}\u{1161}\u{11ab}\u{1103}\u{1161} \u{1106}\u{1162}\u{110b}\u{1175}\u{11af}",
        ),
        (
            "latin",
            "le caf\u{e9} de la gare du Nord",
            "le cafe\u{301} de la gare du Nord",
        ),
        (
            "blanks",
            "old house by the lake",
            "old\u{a0}house by\u{3000}the\u{2003}lake",
        ),
    ] {
        register(&server, name, password).unwrap();
        assert!(login(&server, name, typed).is_ok(), "{name}");
        let reverse = format!("{name}-reverse");
        register(&server, &reverse, typed).unwrap();
        assert!(login(&server, &reverse, password).is_ok(), "{name}");
    }
}

#[test]
fn rejected_password_characters_are_reported_with_their_position() {
    let server = Server::start();
    for (password, expected) in [
        (
            "correct horse \u{7} battery",
            "U+0007 at position 15 is a control character",
        ),
        (
            "c\u{f6}rrect\thorse battery",
            "U+0009 at position 8 is a control character",
        ),
        (
            "correct horse battery\n",
            "U+000A at position 22 is a control character",
        ),
        (
            "correct horse \u{202e} battery",
            "U+202E at position 15 is an invisible character",
        ),
        (
            "correct horse \u{378} battery",
            "U+0378 at position 15 is not a character of Unicode",
        ),
        (
            "correct horse \u{1ffff} battery",
            "U+1FFFF at position 15 is not a character of Unicode",
        ),
    ] {
        let error = register(&server, "alice", password).unwrap_err();
        assert_eq!(error["code"], -32000);
        assert!(problem(&error).starts_with(expected), "{error}");
        assert!(!error.to_string().contains("horse"), "{error}");
    }
}

#[test]
fn half_a_surrogate_pair_is_reported_as_such() {
    let server = Server::start();
    let body = |password: &str| {
        format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name":
            "user-auth_register", "arguments": {{"username": "alice", "password": "{password}"}}}}}}"#
        )
    };
    for password in [
        r"the weather \ud83d outside",
        r"the weather \ude42 outside",
        r"the weather \ud83d\ud83d",
    ] {
        let answer = server.post(&[], body(password)).json();
        assert_eq!(answer["error"]["code"], -32700, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("surrogate"), "{answer}");
        assert!(!answer.to_string().contains("weather"), "{answer}");
    }
    let whole = server.post(&[], body(r"the weather today is \ud83d\ude42 outside"));
    assert_eq!(whole.json()["result"]["isError"], false);
    assert!(login(&server, "alice", "the weather today is \u{1f642} outside").is_ok());
}

#[test]
fn user_names_in_current_scripts_and_both_normal_forms_are_accepted() {
    let server = Server::start();
    for (name, again) in [
        ("\u{9fcd}", "\u{9fcd}"),
        ("\u{2b820}\u{2ceb0}", "\u{2b820}\u{2ceb0}"),
        (
            "\u{1100}\u{1175}\u{11b7}\u{110e}\u{1165}\u{11af}\u{1109}\u{116e}",
            "김철수",
        ),
        ("\u{995}\u{9df}", "\u{995}\u{9af}\u{9bc}"),
        (
            "\u{645}\u{6cc}\u{200c}\u{62e}",
            "\u{645}\u{6cc}\u{200c}\u{62e}",
        ),
        (
            "\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{651}\u{64e}\u{62f}",
            "\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{64e}\u{651}\u{62f}",
        ),
        (
            "\u{5d3}\u{5d5}\u{5d3}1990",
            "\u{5d3}\u{5d5}\u{5d3}\u{ff11}990",
        ),
        ("\u{1e900}\u{1e921}", "\u{1e922}\u{1e943}"),
        ("\u{ff76}\u{ff9e}", "\u{30ac}"),
    ] {
        register(&server, name, PASSWORD).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(login(&server, again, PASSWORD).is_ok(), "{again}");
        let error = register(&server, again, PASSWORD).unwrap_err();
        assert_eq!(error["code"], -32000, "{error}");
    }
    for (name, expected) in [
        ("\u{212a}elvin", "U+212A at position 1"),
        ("henry\u{2163}", "U+2163 at position 6"),
        ("smile\u{1f642}", "U+1F642 at position 6 is a symbol"),
        ("user\u{5d3}", "it mixes letters"),
        ("a b", "U+0020 at position 2 is a space"),
        (
            "a\u{378}",
            "U+0378 at position 2 is not a character of Unicode",
        ),
    ] {
        let error = register(&server, name, PASSWORD).unwrap_err();
        assert!(problem(&error).starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn email_addresses_of_any_length_are_accepted_as_user_names() {
    let server = Server::start();
    let local = "a.long+tag_".repeat(5) + "x";
    let domain = "sub.".repeat(45) + "example.com";
    let address = format!("{local}@{domain}");
    let address = &address[address.len().saturating_sub(254)..];
    assert!(address.len() > 240, "{}", address.len());
    for (name, letter) in [
        (address.to_owned(), ""),
        ("界".repeat(254), "界"),
        ("\u{2b820}".repeat(254), "\u{2b820}"),
    ] {
        let account = register(&server, &name, PASSWORD).unwrap();
        assert_eq!(account["username"], name);
        assert!(login(&server, &name, PASSWORD).is_ok());
        assert!(login(&server, &name.to_uppercase(), PASSWORD).is_ok());
        assert_eq!(
            register(&server, &name, PASSWORD).unwrap_err()["code"],
            -32000
        );
        // The last character is significant.
        let mut other: String = name.chars().take(name.chars().count() - 1).collect();
        assert!(login(&server, &other, PASSWORD).is_err());
        other.push('x');
        assert!(login(&server, &other, PASSWORD).is_err());
        if !letter.is_empty() {
            let error = register(&server, &format!("{name}{letter}"), PASSWORD).unwrap_err();
            assert!(problem(&error).starts_with("it is too long"), "{error}");
        }
    }
}

#[test]
fn spaces_around_a_user_name_are_removed() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    register(&server, " alice\n", PASSWORD).unwrap();
    let tokens = login(&server, "alice\u{a0}", PASSWORD).unwrap();
    assert!(login(&server, "\u{feff}alice\t", PASSWORD).is_ok());
    let reset = json!({"username": "alice "});
    assert!(server.call("request_password_reset", reset).is_ok());
    let session = json!({"access_token": tokens["access_token"]});
    assert_eq!(
        server.call("get_session", session).unwrap()["username"],
        "alice"
    );

    let call = |arguments: &[&str]| -> Output {
        let mut command = command(home.path());
        command.arg("call").args(arguments).output().unwrap()
    };
    for operation in [
        "get_user",
        "revoke_user_sessions",
        "disable_user",
        "enable_user",
        "unlock_user",
        "reset_second_factor",
        "query_audit",
        "explain_permissions",
    ] {
        let output = call(&[operation, "username= alice\u{a0}"]);
        assert!(output.status.success(), "{operation}: {output:?}");
    }
    for operation in ["assign_role", "revoke_role"] {
        let output = call(&[operation, "username=alice ", "role=admin"]);
        assert!(output.status.success(), "{operation}: {output:?}");
    }
    let users = json!({"users": [{"username": "bob\r"}]}).to_string();
    let output = call(&["import_users", "--json", &users]);
    let imported: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(imported["users"][0]["username"], "bob");
    let output = call(&["delete_user", "username=\u{3000}alice"]);
    assert!(output.status.success(), "{output:?}");
}

fn bcrypt(password: &str) -> String {
    let salt = b"sixteen bytes it";
    let mut key = password.as_bytes().to_vec();
    key.push(0);
    let hash = bcrypt::bcrypt(4, *salt, &key);
    let engine = GeneralPurpose::new(&base64::alphabet::BCRYPT, NO_PAD);
    let (salt, hash) = (engine.encode(salt), engine.encode(&hash[..23]));
    format!("$2b$04${salt}{hash}")
}

fn import(home: &Path, users: &[(&str, String)]) {
    let lines = users
        .iter()
        .map(|(username, hash)| json!({"username": username, "password_hash": hash}).to_string());
    let file = home.join("users.jsonl");
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output = command(home).arg("import").arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A name, the password that another system hashed as typed there, spellings that are
/// accepted here later, and a spelling that is not accepted.
const IMPORTED: [(&str, &str, &[&str], &str); 7] = [
    (
        "nbsp",
        "old\u{a0}house by the lake",
        &["old\u{a0}house by the lake", "old house by the lake"],
        "oldhouse by the lake",
    ),
    (
        "ideographic",
        "old\u{3000}house by the lake",
        &["old\u{3000}house by the lake", "old\u{a0}house by the lake"],
        "old\u{3000}house by the lakes",
    ),
    (
        "decomposed",
        "cafe\u{301} by the lake",
        &["cafe\u{301} by the lake", "caf\u{e9} by the lake"],
        "cafe by the lake",
    ),
    (
        "composed",
        "caf\u{e9} by the lake",
        &["cafe\u{301} by the lake", "caf\u{e9} by the lake"],
        "cafe by the lake",
    ),
    (
        "tab",
        "old\thouse by the lake",
        &["old\thouse by the lake"],
        "old house by the lake",
    ),
    (
        "line",
        "old house by the lake\n",
        &["old house by the lake\n"],
        "old house by the lake",
    ),
    (
        "unassigned",
        "old\u{378}house by the lake",
        &["old\u{378}house by the lake"],
        "old house by the lake",
    ),
];

#[test]
fn imported_hashes_are_compared_as_typed_and_in_canonical_form_and_later_in_any_form() {
    let home = folder();
    let users = IMPORTED.map(|(name, hashed, ..)| (name, bcrypt(hashed)));
    import(home.path(), &users);
    let server = Options::new().home(home.path()).start();
    for (name, _, typed, other) in IMPORTED {
        assert_eq!(login(&server, name, other).unwrap_err()["code"], -32001);
        // The first login rehashes the password with another function.
        for typed in typed.iter().chain(typed) {
            let tokens = login(&server, name, typed);
            assert!(tokens.is_ok(), "{name} {typed:?}: {tokens:?}");
        }
        assert_eq!(login(&server, name, other).unwrap_err()["code"], -32001);
    }
}

#[test]
fn imported_passwords_that_break_the_rules_can_be_changed() {
    let home = folder();
    import(home.path(), &[("tab", bcrypt("old\thouse by the lake"))]);
    let server = Options::new().home(home.path()).start();
    let tokens = login(&server, "tab", "old\thouse by the lake").unwrap();
    let change = |new: &str| {
        server.call(
            "change_password",
            json!({
                "access_token": tokens["access_token"],
                "current_password": "old\thouse by the lake",
                "new_password": new,
            }),
        )
    };
    let error = change("new\thouse by the lake").unwrap_err();
    assert!(
        problem(&error).starts_with("U+0009 at position 4"),
        "{error}"
    );
    change("new house by the lake").unwrap();
    assert!(login(&server, "tab", "old\thouse by the lake").is_err());
    assert!(login(&server, "tab", "new house by the lake").is_ok());
}

#[test]
fn passwords_that_break_the_rules_are_wrong_for_known_and_unknown_names_alike() {
    let server = Server::start();
    register(&server, "alice", PASSWORD).unwrap();
    let typed = "correct\thorse battery staple";
    let of_account = login(&server, "alice", typed).unwrap_err();
    let of_unknown = login(&server, "nobody", typed).unwrap_err();
    assert_eq!(of_account["code"], -32001);
    assert_eq!(of_account["message"], of_unknown["message"]);
    assert_eq!(of_account["data"]["details"], of_unknown["data"]["details"]);
}
