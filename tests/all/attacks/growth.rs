//! Data that unauthenticated callers could make grow.

use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use user_auth_tests::{Options, PASSWORD, command, folder, step, totp_code};

/// Upper bound of the records of one kind of refusal on one account within an hour: twenty,
/// and then one for each power of ten.
const MOST: u64 = 24;

/// Returns a text with the form of a code for this account.
fn made_up_code(user_id: &str) -> String {
    let mut bytes: Vec<u8> = (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&user_id[at..at + 2], 16).unwrap())
        .collect();
    bytes.extend([0; 32]);
    format!("uac_{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[test]
fn failed_attempts_neither_fill_an_audit_chain_nor_delay_the_owner() {
    const SOURCES: usize = 8;
    const EACH: usize = 60;
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let account = server.call("register", credentials.clone()).unwrap();
    let records = || {
        let mut command = command(home.path());
        let call = command.args(["call", "verify_audit_chain", "username=alice"]);
        let chain: Value = serde_json::from_slice(&call.output().unwrap().stdout).unwrap();
        assert_eq!(chain["intact"], true);
        chain["examined"].as_u64().unwrap()
    };
    let before = records();
    let code = made_up_code(account["user_id"].as_str().unwrap());
    let (server, code) = (&server, &code);
    let tokens = thread::scope(|scope| {
        for source in 1..=SOURCES {
            scope.spawn(move || {
                for _ in 0..EACH {
                    let guess = json!({"code": code, "new_password": "another good long password"});
                    let source = format!("127.0.4.{source}");
                    let error = server.call_from(&source, "confirm_password_reset", guess);
                    let error = error.unwrap_err();
                    assert_eq!(error["code"], -32001, "{error}");
                }
            });
        }
        // Meanwhile the owner logs in.
        (0..10)
            .map(|_| server.call("login", credentials.clone()).unwrap())
            .last()
    });
    let grown = records() - before - 10;
    assert!(
        (1..=MOST).contains(&grown),
        "{grown} records of {}",
        SOURCES * EACH
    );

    // Another registered user shows a code that is not theirs.
    let before = records();
    let stranger = server.new_session("mallory");
    for _ in 0..40 {
        let guess = json!({"code": code, "access_token": stranger["access_token"]});
        let error = server.call("confirm_email", guess).unwrap_err();
        assert_eq!(error["code"], -32001, "{error}");
    }
    let grown = records() - before;
    assert!((1..=MOST).contains(&grown), "{grown} records");

    // An attacker with the password but with neither the phone nor the recovery codes.
    let own = json!({"access_token": tokens.unwrap()["access_token"]});
    let enrolment = server.call("enroll_totp", own.clone()).unwrap();
    let secret = enrolment["secret"].as_str().unwrap();
    let confirm = |_| {
        let mut input = own.clone();
        input["code"] = json!(totp_code(secret, step()));
        server.call("confirm_totp", input).ok()
    };
    let confirmed: Value = (0..3).find_map(confirm).unwrap();
    let before = records();
    for number in 0..30 {
        let source = format!("127.0.3.{}", number % 5 + 1);
        let challenge = server.call_from(&source, "login", credentials.clone());
        let code = "0000-1111-2222-3333-4444-5555-6666";
        let guess = json!({"challenge": challenge.unwrap()["challenge"], "code": code});
        let error = server.call_from(&source, "complete_login", guess);
        assert_eq!(error.unwrap_err()["code"], -32001, "{number}");
    }
    let grown = records() - before;
    assert!((1..=2 * MOST).contains(&grown), "{grown} records");
    let challenge = server.call("login", credentials.clone()).unwrap();
    let code = &confirmed["recovery_codes"][0];
    let answer = json!({"challenge": challenge["challenge"], "code": code});
    server.call("complete_login", answer).unwrap();
}
