//! `user-auth import`: users of another system with their password hashes.

mod systems;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use user_auth_tests::{command, folder};

const PASSWORD: &[u8] = b"the password of long ago";
const SALT: &[u8; 16] = b"sixteen bytes it";

fn bcrypt(cost: u32) -> String {
    let mut key = PASSWORD.to_vec();
    key.push(0);
    let hash = bcrypt::bcrypt(cost, *SALT, &key);
    let engine = GeneralPurpose::new(&base64::alphabet::BCRYPT, NO_PAD);
    let (salt, hash) = (engine.encode(SALT), engine.encode(&hash[..23]));
    format!("$2b${cost:02}${salt}{hash}")
}

fn argon2id() -> String {
    let mut hash = [0; 32];
    let params = Params::new(1024, 2, 2, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD, SALT, &mut hash)
        .unwrap();
    phc("argon2id$v=19$m=1024,t=2,p=2", &hash)
}

fn scrypt() -> String {
    let mut hash = [0; 32];
    let params = scrypt::Params::new(12, 8, 1).unwrap();
    scrypt::scrypt(PASSWORD, SALT, &params, &mut hash).unwrap();
    phc("scrypt$ln=12,r=8,p=1", &hash)
}

fn pbkdf2() -> String {
    let hash = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(PASSWORD, SALT, 10_000);
    phc("pbkdf2-sha256$i=10000", &hash)
}

fn phc(parameters: &str, hash: &[u8]) -> String {
    let (salt, hash) = (STANDARD_NO_PAD.encode(SALT), STANDARD_NO_PAD.encode(hash));
    format!("${parameters}${salt}${hash}")
}

fn import(home: &Path, arguments: &[&str]) -> Output {
    let mut command = command(home);
    // The first import also reports that it created the database, which is not of interest
    // to tests of the lines about users.
    command.env("LOG_LEVEL", "warn");
    command.arg("import").args(arguments).output().unwrap()
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Lines as another system would export them.
fn lines(count: usize) -> String {
    (1..=count)
        .map(|number| format!("{}\n", json!({"username": format!("user{number}")})))
        .collect()
}

fn call(home: &Path, operation: &str, input: Value) -> Output {
    let mut command = command(home);
    let input = input.to_string();
    command
        .args(["call", operation, "--json", &input])
        .output()
        .unwrap()
}

/// The right password is right, before and after it is hashed again, and no other.
fn log_in(home: &Path, username: &str, password: &str) {
    let login = |password: &str| {
        let credentials = json!({"username": username, "password": password});
        call(home, "login", credentials)
    };
    assert_eq!(
        login(&format!("{password}x")).status.code(),
        Some(1),
        "{username}"
    );
    for _ in 0..2 {
        let output = login(password);
        assert_eq!(output.status.code(), Some(0), "{username}: {output:?}");
    }
}

#[test]
fn imported_users_log_in_with_their_old_passwords() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    let users = [
        ("argon", argon2id()),
        ("blowfish", bcrypt(10)),
        ("salsa", scrypt()),
        ("hmac", pbkdf2()),
    ];
    let lines = users
        .each_ref()
        .map(|(username, hash)| json!({"username": username, "password_hash": hash}).to_string());
    fs::write(&file, lines.join("\n")).unwrap();
    let output = import(home.path(), &[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
    let summary = summary(&output);
    assert_eq!(summary["imported"], 4);
    assert_eq!(summary["weak_hashes"], 3, "all but bcrypt");

    let password = str::from_utf8(PASSWORD).unwrap();
    for (username, _) in users {
        let wrong = json!({"username": username, "password": "the password of long agx"});
        assert_eq!(call(home.path(), "login", wrong).status.code(), Some(1));
        let right = json!({"username": username, "password": password});
        // The first login replaces the hash, so the second verifies one of ours.
        for _ in 0..2 {
            let output = call(home.path(), "login", right.clone());
            assert_eq!(output.status.code(), Some(0), "{username}: {output:?}");
        }
    }
}

#[test]
fn bad_lines_are_reported_by_number_and_the_others_imported() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    let errors = home.path().join("errors.jsonl");
    let long = format!("{{\"username\": \"{}\"}}", "x".repeat(70_000));
    let text = [
        r#"{"username": "alice"}"#,
        "",
        r#"{"username": "no name at all"}"#,
        "{",
        r#"{"username": "bob", "password": "hunter2"}"#,
        &long,
        r#"{"username": "carol", "password_hash": "$2b$31$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES"}"#,
        r#"{"username": "dave"}"#,
    ];
    fs::write(&file, text.join("\r\n")).unwrap();
    let (file, errors) = (file.to_str().unwrap(), errors.to_str().unwrap());
    let output = import(home.path(), &[file, "--errors", errors]);
    assert_eq!(output.status.code(), Some(1));
    let counts = summary(&output);
    assert_eq!(
        (&counts["imported"], &counts["refused"]),
        (&json!(2), &json!(5))
    );
    let told = String::from_utf8(output.stderr).unwrap();
    let starts = [
        "line 3: username \"no name at all\": U+0020 at position 3 is a space",
        "line 4: is not a JSON object",
        "line 5: password: is not known",
        "line 6: is longer than 64 KiB",
        "line 7: password_hash: the cost of a bcrypt hash is at most 14",
    ];
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let errors = fs::read_to_string(errors).unwrap();
    let errors: Vec<Value> = errors
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    let numbers: Vec<u64> = errors
        .iter()
        .map(|it| it["line"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7]);
    assert_eq!(errors[1]["problem"], "is not a JSON object");
}

#[test]
fn importing_a_file_again_changes_nothing() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    fs::write(&file, lines(350)).unwrap();
    let file = file.to_str().unwrap();
    let rehearsal = summary(&import(home.path(), &[file, "--dry-run"]));
    assert_eq!(rehearsal["would_import"], 350);
    assert_eq!(rehearsal["imported"], Value::Null, "nothing is yet");
    let first = summary(&import(home.path(), &[file]));
    assert_eq!(first["imported"], 350);
    let again = import(home.path(), &[file]);
    assert_eq!(again.status.code(), Some(0));
    let again = summary(&again);
    assert_eq!(
        (&again["unchanged"], &again["imported"]),
        (&json!(350), &json!(0))
    );
}

#[test]
fn an_interrupted_import_says_where_to_continue() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    let mut text: Vec<String> = lines(250).lines().map(str::to_owned).collect();
    text[149] = "not a user".to_owned();
    let text = text.join("\n") + "\n";
    fs::write(&file, &text).unwrap();

    let mut child = command(home.path())
        .args(["import", "-"])
        .env("LOG_LEVEL", "warn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The input stays open, so the import waits for the lines that fill the third call.
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    input.flush().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let event = told.next().unwrap().unwrap();
    assert_eq!(event, "line 150: is not a JSON object");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    drop(input);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(summary(&output)["imported"], 199);
    assert_eq!(summary(&output)["from_line"], 201);
    assert!(told.next().unwrap().unwrap().ends_with("--from-line 201"));

    let rest = import(home.path(), &[file.to_str().unwrap(), "--from-line", "201"]);
    assert_eq!(rest.status.code(), Some(0));
    assert_eq!(summary(&rest)["imported"], 50);
}

#[test]
fn the_error_file_must_not_be_the_imported_file() {
    let home = folder();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let [file, symbolic, hard] = ["users.jsonl", "symbolic.jsonl", "hard.jsonl"].map(at);
    fs::write(&file, lines(3)).unwrap();
    std::os::unix::fs::symlink(&file, &symbolic).unwrap();
    fs::hard_link(&file, &hard).unwrap();
    let roundabout = format!("{}/./users.jsonl", home.path().display());
    for errors in [&file, &symbolic, &hard, &roundabout] {
        for input in [&file, "-"] {
            let mut command = command(home.path());
            command.args(["import", input, "--errors", errors]);
            command.stdin(fs::File::open(&file).unwrap());
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{input} {errors}");
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.contains("--errors"), "{told}");
            assert_eq!(fs::read_to_string(&file).unwrap(), lines(3), "{errors}");
        }
    }
}

#[test]
fn a_continued_import_appends_to_its_error_file() {
    let home = folder();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let [file, errors] = ["users.jsonl", "errors.jsonl"].map(at);
    let refused = |arguments: &[&str]| -> Vec<u64> {
        let arguments = [&[&file, "--errors", &errors][..], arguments].concat();
        assert_eq!(import(home.path(), &arguments).status.code(), Some(1));
        let text = fs::read_to_string(&errors).unwrap();
        let problems = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        problems
            .map(|problem| problem["line"].as_u64().unwrap())
            .collect()
    };
    fs::write(&file, "{}\nbad\n").unwrap();
    assert_eq!(refused(&[]), [1, 2]);
    fs::write(&file, "{}\nbad\n{}\n\nworse\n").unwrap();
    assert_eq!(refused(&["--from-line", "3"]), [1, 2, 3, 5]);
    // An import from the beginning finds all errors again.
    assert_eq!(refused(&[]), [1, 2, 3, 5]);
    fs::write(&file, "{}\n").unwrap();
    assert_eq!(refused(&[]), [1]);
}

#[test]
fn an_import_that_cannot_begin_says_only_why() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    fs::write(&file, lines(10)).unwrap();
    let file = file.to_str().unwrap();
    let output = import(home.path(), &[file, "--from-line", "99"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("which has 10 lines"), "{told}");
    assert!(!told.contains("incomplete"), "{told}");
    // An import that was stopped at the end of the file names the line after the last.
    let output = import(home.path(), &[file, "--from-line", "11"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_missing_file_is_named() {
    let home = folder();
    for arguments in [
        &["absent.jsonl"][..],
        &["/"],
        &["-", "--from-line", "0"],
        &[],
    ] {
        let output = import(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn problems_are_shown_in_order_and_ten_of_a_kind() {
    let home = folder();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let [file, errors] = ["users.jsonl", "errors.jsonl"].map(at);
    // More calls than are made at once, so that they come to an end in another order.
    let count = 5_000;
    let line = |number: usize| {
        let name = match number % 50 {
            0 => format!("no name {number}"),
            _ => format!("user{number}"),
        };
        json!({"username": name, "roles": ["clerk"]}).to_string() + "\n"
    };
    fs::write(&file, (1..=count).map(line).collect::<String>()).unwrap();
    let output = import(home.path(), &[&file, "--errors", &errors]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(summary(&output)["refused"], count);

    let shown = String::from_utf8(output.stderr).unwrap();
    let shown: Vec<&str> = shown.lines().collect();
    let of = |word: &str| shown.iter().filter(|line| line.contains(word)).count();
    assert_eq!(
        (of("roles \"clerk\": "), of("username \"no name ")),
        (11, 11)
    );
    assert_eq!(shown.len(), 22, "{shown:?}");
    assert!(shown[0].starts_with("line 1: roles \"clerk\": there is no such role"));
    let numbers: Vec<u64> = shown[..20]
        .iter()
        .map(|line| {
            let number = line.strip_prefix("line ").unwrap().split_once(':').unwrap();
            number.0.parse().unwrap()
        })
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let rest = "and 4890 more like line 1: roles \"clerk\": there is no such role";
    assert!(shown[20].starts_with(rest), "{}", shown[20]);
    assert!(shown[21].starts_with("and 90 more like line 50: username \"no name 50\""));

    let errors = fs::read_to_string(errors).unwrap();
    let numbers: Vec<u64> = errors
        .lines()
        .map(|line| {
            let error: Value = serde_json::from_str(line).unwrap();
            error["line"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
}

#[test]
fn fields_of_other_systems_are_read_as_these_write_them() {
    let home = folder();
    let file = home.path().join("users.jsonl");
    let sha512 = pbkdf2::pbkdf2_hmac_array::<sha2::Sha512, 64>(PASSWORD, SALT, 1000);
    let mut argon2i = [0; 32];
    let params = Params::new(64, 2, 1, Some(32)).unwrap();
    Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
        .hash_password_into(PASSWORD, SALT, &mut argon2i)
        .unwrap();
    let users = [
        (
            "spring",
            format!("{{bcrypt}}{}", bcrypt(4).replace("$2b$", "$2y$")),
        ),
        ("padded", argon2id() + "="),
        ("sha512", phc("pbkdf2-sha512$i=1000", &sha512)),
        ("argon2i", phc("argon2i$v=19$m=64,t=2,p=1", &argon2i)),
    ];
    let mut lines: Vec<String> = users
        .iter()
        .map(|(name, hash)| {
            json!({"username": name, "password_hash": hash, "email": "",
                "created_at": 1_551_675_967_000_u64})
            .to_string()
        })
        .collect();
    lines.push(
        json!({"username": "none", "password_hash": "", "roles": null, "created_at": ""})
            .to_string(),
    );
    fs::write(&file, lines.join("\n")).unwrap();
    let output = import(home.path(), &[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let counts = summary(&output);
    assert_eq!(
        (&counts["imported"], &counts["weak_hashes"]),
        (&json!(5), &json!(4))
    );
    let password = str::from_utf8(PASSWORD).unwrap();
    for (username, _) in users {
        log_in(home.path(), username, password);
    }
    let output = call(home.path(), "get_user", json!({"username": "spring"}));
    let user: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(user["created_at"], "2019-03-04T05:06:07.000Z");
}
