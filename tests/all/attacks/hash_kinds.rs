//! Login times must not reveal which names have an account.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, command, folder};

const ITERATIONS: u32 = 10_000;

/// An action that removes the imported hash from an account.
type Renewal<'a> = &'a dyn Fn(&Path, &str);

fn call(home: &Path, operation: &str, input: Value) {
    let input = input.to_string();
    let mut command = command(home);
    let output = command.args(["call", operation, "--json", &input]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{operation}: {output:?}");
}

fn import(home: &Path, username: &str) {
    let salt = b"sixteen bytes it";
    let hash = pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(PASSWORD.as_bytes(), salt, ITERATIONS);
    let [salt, hash] = [&salt[..], &hash].map(|bytes| STANDARD_NO_PAD.encode(bytes));
    let hash = format!("$pbkdf2-sha256$i={ITERATIONS}${salt}${hash}");
    let users = json!({"users": [{"username": username, "password_hash": hash}]});
    call(home, "import_users", users);
}

/// Counts the unknown names whose login costs as much as a PBKDF2 hash: those that a server
/// whose limits forbid such a hash cannot process.
fn count_pbkdf2_decoys(home: &Path) -> usize {
    let limit = format!("--set=limits.hash_pbkdf2_iterations={}", ITERATIONS - 1);
    let failures = "USER_AUTH_THROTTLING_FAILURES_PER_SOURCE";
    let options = Options::new().home(home).arg(&limit);
    let server = options.env(failures, "100000").start();
    let codes = (0..24).map(|number| {
        let input = json!({"username": format!("made-up{number}"), "password": PASSWORD});
        let error = server.call("login", input).unwrap_err();
        error["code"].as_i64().unwrap()
    });
    codes.filter(|code| *code == -32004).count()
}

#[test]
fn decoy_hashes_use_a_kind_only_while_an_account_has_it() {
    let login = |home: &Path, username: &str| {
        call(
            home,
            "login",
            json!({"username": username, "password": PASSWORD}),
        );
    };
    let delete = |home: &Path, username: &str| {
        call(home, "delete_user", json!({"username": username}));
    };
    let force = |home: &Path, username: &str| {
        call(home, "force_password_reset", json!({"username": username}));
    };
    let renewals: [Renewal; 3] = [&login, &delete, &force];
    let home = folder();
    let home = home.path();
    for (round, leave) in renewals.into_iter().enumerate() {
        let [first, last] = ["first", "last"].map(|name| format!("{name}{round}"));
        import(home, &first);
        import(home, &last);
        leave(home, &first);
        assert!(count_pbkdf2_decoys(home) > 0, "{round}: one account has it");
        leave(home, &last);
        assert_eq!(count_pbkdf2_decoys(home), 0, "{round}: none has it");
    }
}
