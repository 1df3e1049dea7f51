//! Sources of the master key, and its rotation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, Server, command, folder, step, totp_code};

const KEY: &str = ".local/share/user-auth/master.key";

fn at(home: &Path, name: &str) -> String {
    home.join(name).to_str().unwrap().to_owned()
}

fn write_key(home: &Path, name: &str, byte: &str) -> String {
    let file = at(home, name);
    fs::write(&file, byte.repeat(32)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn rotate(home: &Path, new: &str, more: &[&str]) -> Output {
    let mut command = command(home);
    command.args(["rotate-master-key", "--new-master-key-file", new]);
    command.args(more).output().unwrap()
}

/// Opens the store and returns the error if that fails.
fn open(mut command: Command) -> Result<(), String> {
    let output = command.args(["call", "list_roles"]).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(()),
        code => {
            assert_eq!(code, Some(3));
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }
}

fn open_with(home: &Path, key: &str) -> Result<(), String> {
    let mut command = command(home);
    command.env("USER_AUTH_MASTER_KEY_FILE", key);
    open(command)
}

fn is_active(server: &Server, tokens: &Value) -> bool {
    let token = json!({"token": tokens["access_token"]});
    server.call("verify_token", token).unwrap()["active"] == true
}

fn refresh(server: &Server, tokens: &Value) -> Value {
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    server.call("refresh_token", refresh).unwrap()
}

#[test]
fn a_rotation_keeps_tokens_valid_and_retires_the_old_key() {
    let home = folder();
    let home = home.path();
    let running = Options::new().home(home).start();
    let alice = running.new_session("alice");
    let new_key = json!({"name": "ci", "access_token": alice["access_token"]});
    let api_key = running.call("create_api_key", new_key).unwrap();
    let bob = running.new_session("bob");
    let own = json!({"access_token": bob["access_token"]});
    let enrolment = running.call("enroll_totp", own).unwrap();
    let secret = enrolment["secret"].as_str().unwrap();
    // Uses the previous step, so that the current one is left for later.
    let confirm = |_| {
        let code = totp_code(secret, step() - 1);
        let input = json!({"access_token": bob["access_token"], "code": code});
        running.call("confirm_totp", input).ok()
    };
    (0..3).find_map(confirm).unwrap();

    let new = at(home, "new.key");
    let output = rotate(home, &new, &[]);
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["master_key_file"], new);
    let mode = fs::metadata(&new).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // The running server is not affected.
    assert!(is_active(&running, &alice));
    let refreshed = refresh(&running, &alice);
    let told = open(command(home)).unwrap_err();
    assert!(told.contains("was rotated"), "{told}");
    let stranger = write_key(home, "stranger.key", "5c");
    let told = open_with(home, &stranger).unwrap_err();
    assert!(told.contains("another master key"), "{told}");

    fs::rename(&new, at(home, KEY)).unwrap();
    let started = Options::new().home(home).start();
    for server in [&started, &running] {
        assert!(is_active(server, &alice) && is_active(server, &refreshed));
    }
    let refreshed = refresh(&started, &refreshed);
    assert!(
        is_active(&running, &refreshed),
        "signed under the new master key"
    );
    let login = json!({"username": "alice", "password": PASSWORD});
    let login = started.call("login", login).unwrap();
    assert!(is_active(&running, &login));
    let header = ("x-api-key", api_key["api_key"].as_str().unwrap());
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "user-auth_check_permission", "arguments": {"permission": "x:y"}}});
    let answer = started.post(&[header], list.to_string()).json();
    assert!(answer["result"].is_object(), "{answer}");
    let login = json!({"username": "bob", "password": PASSWORD});
    let challenge = started.call("login", login).unwrap()["challenge"].take();
    let complete = |_| {
        let input = json!({"challenge": challenge, "code": totp_code(secret, step())});
        started.call("complete_login", input).ok()
    };
    assert!((0..3).find_map(complete).is_some());
    let output = command(home)
        .args(["call", "verify_audit_chain", "username=alice"])
        .output()
        .unwrap();
    let chain: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(chain["intact"], true);
}

#[test]
fn of_two_concurrent_rotations_one_wins() {
    let home = folder();
    let home = home.path();
    open(command(home)).unwrap();
    let mut key = at(home, KEY);
    for round in 0..5 {
        let files = [0, 1].map(|n| at(home, &format!("{round}-{n}.key")));
        let outputs: Vec<Output> = thread::scope(|scope| {
            let threads = files.each_ref().map(|file| {
                let key = &key;
                scope.spawn(move || rotate(home, file, &["--master-key-file", key]))
            });
            threads.map(|thread| thread.join().unwrap()).into()
        });
        let won: Vec<bool> = outputs.iter().map(|it| it.status.success()).collect();
        assert_ne!(won[0], won[1], "{outputs:?}");
        let (winner, loser) = (usize::from(won[1]), usize::from(won[0]));
        let told = String::from_utf8_lossy(&outputs[loser].stderr);
        assert!(told.contains("rotated"), "{told}");
        assert!(open_with(home, &files[winner]).is_ok());
        assert!(open_with(home, &key).is_err());
        key = files[winner].clone();
    }
}

#[test]
fn an_interrupted_rotation_can_be_repeated() {
    let home = folder();
    let home = home.path();
    open(command(home)).unwrap();
    // Only the new key file remained of it.
    let new = write_key(home, "new.key", "a7");
    assert!(open(command(home)).is_ok());
    assert!(rotate(home, &new, &[]).status.success());
    assert!(open_with(home, &new).is_ok());
    let same = rotate(home, &new, &["--master-key-file", &new]);
    assert!(String::from_utf8_lossy(&same.stderr).contains("in use"));
    // No key file is created for a store that does not exist.
    let other = at(home, "other.key");
    let store = format!("sqlite:{}", at(home, "absent.db"));
    assert_eq!(
        rotate(home, &other, &["--store", &store]).status.code(),
        Some(3)
    );
    assert!(!Path::new(&other).exists());
}

#[test]
fn the_key_can_be_a_systemd_credential() {
    let home = folder();
    let home = home.path();
    let credentials = home.join("credentials");
    fs::create_dir(&credentials).unwrap();
    let file = write_key(&credentials, "user-auth-master-key", "17");
    let with = || {
        let mut command = command(home);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        command
    };
    // The credential of a service with a user of its own shows the bits of the group.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    open(with()).unwrap();
    assert!(!Path::new(&at(home, KEY)).exists(), "no other is made");
    assert!(open_with(home, &write_key(home, "same.key", "17")).is_ok());

    // An explicitly named key takes precedence.
    let other = write_key(home, "other.key", "28");
    let mut by_file = with();
    by_file.env("USER_AUTH_MASTER_KEY_FILE", &other);
    assert!(open(by_file).unwrap_err().contains("another master key"));
    let mut by_text = with();
    by_text.env("USER_AUTH_MASTER_KEY", "28".repeat(32));
    assert!(open(by_text).unwrap_err().contains("another master key"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(open(with()).unwrap_err().contains("mode 444"));
    // The credentials folder may contain other credentials only.
    fs::remove_file(&file).unwrap();
    assert!(open(with()).unwrap_err().contains("not its master key"));
}
