//! Attempts to get past a second factor or to remove it.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use user_auth_host::api::{Caller, LoginOutcome, Principal};
use user_auth_host::store::{Expect, MemoryStore, Mutation};
use user_auth_host::{Plugin, StoreKeys};
use user_auth_tests::{Options, PASSWORD, Server, built, folder, step, totp_code};

const NEW_PASSWORD: &str = "another good long password";

/// Returns a code that the app does not show, however long the test takes.
fn wrong_code(secret: &str) -> String {
    let near: Vec<String> = (step() - 2..step() + 20)
        .map(|step| totp_code(secret, step))
        .collect();
    let mut codes = (0..1_000_000).map(|number| format!("{number:06}"));
    codes.find(|code| !near.contains(code)).unwrap()
}

/// An account with an authenticator app, and the session that enrolled it.
struct Victim<'a> {
    server: &'a Server,
    username: String,
    secret: String,
    tokens: Value,
    recovery_codes: Vec<String>,
}

impl<'a> Victim<'a> {
    /// Confirms the app with the code of the previous step, so that the current code is
    /// left for a login.
    fn new(server: &'a Server) -> Victim<'a> {
        Victim::named(server, "victim")
    }

    fn named(server: &'a Server, username: &str) -> Victim<'a> {
        Victim::confirmed(server, username, || step() - 1)
    }

    fn confirmed(server: &'a Server, username: &str, confirmed_in: impl Fn() -> u64) -> Victim<'a> {
        let tokens = server.new_session(username);
        let own = json!({"access_token": tokens["access_token"]});
        let enrolment = server.call("enroll_totp", own).unwrap();
        let secret = enrolment["secret"].as_str().unwrap().to_owned();
        // A step may end in between; then the next code works.
        let confirm = |_| {
            let code = totp_code(&secret, confirmed_in());
            let input = json!({"access_token": tokens["access_token"], "code": code});
            server.call("confirm_totp", input).ok()
        };
        let confirmed = (0..3).find_map(confirm).unwrap();
        let codes = confirmed["recovery_codes"].as_array().unwrap().iter();
        Victim {
            recovery_codes: codes.map(|code| code.as_str().unwrap().into()).collect(),
            server,
            username: username.to_owned(),
            secret,
            tokens,
        }
    }

    /// Logs in with the password, which the attacker knows in these tests.
    fn challenge(&self) -> Value {
        let credentials = json!({"username": self.username, "password": PASSWORD});
        let mut outcome = self.server.call("login", credentials).unwrap();
        assert!(outcome["access_token"].is_null(), "{outcome}");
        outcome["challenge"].take()
    }

    fn complete(&self, challenge: &Value, code: &str) -> Result<Value, Value> {
        let input = json!({"challenge": challenge, "code": code});
        self.server.call("complete_login", input)
    }

    fn login(&self, code: &str) -> Result<Value, Value> {
        self.complete(&self.challenge(), code)
    }

    fn own(&self, operation: &str) -> Result<Value, Value> {
        let input = json!({"access_token": self.tokens["access_token"]});
        self.server.call(operation, input)
    }

    /// Sends all answers at once, and returns how many were accepted.
    fn at_once(&self, answers: &[(Value, &str)]) -> usize {
        let barrier = &Barrier::new(answers.len());
        thread::scope(|scope| {
            let threads: Vec<_> = answers
                .iter()
                .map(|(challenge, code)| {
                    scope.spawn(move || {
                        barrier.wait();
                        self.complete(challenge, code)
                    })
                })
                .collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            let won = results.filter(|result| match result {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error["code"], -32001, "{error}");
                    false
                }
            });
            won.count()
        })
    }
}

fn assert_refused(result: Result<Value, Value>) {
    let error = result.unwrap_err();
    assert_eq!(error["code"], -32001, "{error}");
    assert_eq!(error["message"], "The challenge or the code is not valid");
}

#[test]
fn attack_23_an_observed_code_cannot_be_used_again() {
    let server = Server::start();
    let victim = Victim::new(&server);
    let code = totp_code(&victim.secret, step());
    victim.login(&code).unwrap();
    assert_refused(victim.login(&code));
}

#[test]
fn attack_23_codes_older_than_the_last_used_step_are_refused() {
    let server = Server::start();
    let victim = Victim::confirmed(&server, "victim", step);
    // This code was never used, and has not expired yet.
    assert_refused(victim.login(&totp_code(&victim.secret, step() - 1)));
}

/// RFC 6238 section 6: the clocks of phones run slow or fast.
#[test]
fn attack_23_the_code_of_the_next_step_works_once_and_ends_earlier_ones() {
    let server = Server::start();
    let victim = Victim::new(&server);
    let (current, next) = (
        totp_code(&victim.secret, step()),
        totp_code(&victim.secret, step() + 1),
    );
    assert_refused(victim.login(&totp_code(&victim.secret, step() + 3)));
    victim.login(&next).unwrap();
    assert_refused(victim.login(&next));
    assert_refused(victim.login(&current));
}

#[test]
fn codes_are_accepted_with_any_spacing_of_their_digits() {
    let server = Server::start();
    for (number, between) in ["\u{a0}", "-", "\n", "\u{2011}", "\u{2009}"]
        .iter()
        .enumerate()
    {
        let victim = Victim::named(&server, &format!("victim{number}"));
        for ahead in [0, 1] {
            let code = totp_code(&victim.secret, step() + ahead);
            let typed = format!(" {}{between}{}\r\n", &code[..3], &code[3..]);
            let login = victim.login(&typed);
            assert!(login.is_ok(), "{typed:?}: {login:?}");
        }
        // Other separators are not accepted.
        let code = totp_code(&victim.secret, step() + 1);
        let typed = format!("{}.{}", &code[..3], &code[3..]);
        assert_eq!(victim.login(&typed).unwrap_err()["code"], -32000);
    }
}

#[test]
fn attack_23_one_code_sent_in_parallel_is_accepted_once() {
    for server in [Options::new().store("memory").start(), Server::start()] {
        for round in 0..5 {
            let victim = Victim::named(&server, &format!("victim{round}"));
            let challenges: Vec<Value> = (0..8).map(|_| victim.challenge()).collect();
            let code = totp_code(&victim.secret, step());
            let answers: Vec<_> = challenges
                .into_iter()
                .map(|challenge| (challenge, code.as_str()))
                .collect();
            assert_eq!(victim.at_once(&answers), 1);
        }
    }
}

#[test]
fn attack_23_one_challenge_answered_in_parallel_is_accepted_once() {
    for server in [Options::new().store("memory").start(), Server::start()] {
        for round in 0..3 {
            let victim = Victim::named(&server, &format!("victim{round}"));
            // Exactly one of each five succeeds; which one depends on the server.
            for codes in victim.recovery_codes.chunks(5) {
                let challenge = victim.challenge();
                let answers: Vec<_> = codes
                    .iter()
                    .map(|code| (challenge.clone(), code.as_str()))
                    .collect();
                assert_eq!(victim.at_once(&answers), 1);
            }
        }
    }
}

#[test]
fn attack_23_guessing_codes_with_the_right_password_is_throttled() {
    let server = Server::start();
    let victim = Victim::new(&server);
    let wrong = wrong_code(&victim.secret);
    // Each challenge allows exactly five answers.
    let challenge = victim.challenge();
    for _ in 0..5 {
        assert_refused(victim.complete(&challenge, &wrong));
    }
    assert_refused(victim.complete(&challenge, &victim.recovery_codes[0]));
    // Another login creates a new challenge, but not ten more guesses.
    for _ in 0..5 {
        assert_refused(victim.login(&wrong));
    }
    let code = totp_code(&victim.secret, step());
    for code in [wrong, code] {
        let error = victim.login(&code).unwrap_err();
        assert_eq!(error["code"], -32003, "{error}");
        assert!(error["data"]["details"]["retry_after_seconds"].as_u64() > Some(0));
    }
}

#[test]
fn attack_24_one_recovery_code_sent_in_parallel_is_accepted_once() {
    for server in [Options::new().store("memory").start(), Server::start()] {
        let victim = Victim::new(&server);
        for code in &victim.recovery_codes {
            // The failures of one round and those of the next stay below the throttling
            // limit.
            let answers: Vec<_> = (0..5)
                .map(|_| (victim.challenge(), code.as_str()))
                .collect();
            assert_eq!(victim.at_once(&answers), 1);
        }
        assert_refused(victim.login(&victim.recovery_codes[0]));
    }
}

#[test]
fn attack_24_recovery_codes_are_invalid_after_a_newer_set() {
    let server = Server::start();
    let victim = Victim::new(&server);
    let challenge = victim.challenge();
    let renewed = victim.own("create_recovery_codes").unwrap();
    for code in &victim.recovery_codes[..2] {
        assert_refused(victim.complete(&challenge, code));
    }
    let renewed = renewed["recovery_codes"][0].as_str().unwrap();
    victim.complete(&challenge, renewed).unwrap();
}

#[test]
fn attack_30_a_session_from_before_the_second_factor_cannot_change_it() {
    let server = Server::start();
    server.new_session("victim");
    let credentials = json!({"username": "victim", "password": PASSWORD});
    let stolen = server.call("login", credentials.clone()).unwrap();
    let owner = server.call("login", credentials).unwrap();
    let own = json!({"access_token": owner["access_token"]});
    let enrolment = server.call("enroll_totp", own).unwrap();
    let secret = enrolment["secret"].as_str().unwrap();
    let confirm = |_| {
        let code = totp_code(secret, step());
        let input = json!({"access_token": owner["access_token"], "code": code});
        server.call("confirm_totp", input).ok()
    };
    (0..3).find_map(confirm).unwrap();
    for operation in ["disable_totp", "create_recovery_codes", "enroll_totp"] {
        let input = json!({"access_token": stolen["access_token"]});
        let error = server.call(operation, input).unwrap_err();
        assert_eq!(error["code"], -32001, "{operation}: {error}");
    }
    let refresh = json!({"refresh_token": stolen["refresh_token"]});
    let error = server.call("refresh_token", refresh).unwrap_err();
    assert_eq!(error["code"], -32001);
}

#[test]
fn attack_30_an_old_session_cannot_change_the_second_factor() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    let Victim {
        tokens,
        recovery_codes,
        ..
    } = Victim::new(&server);
    server.kill();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_FRESH_SESSION_SECONDS", "1")
        .start();
    // The server's clock decides: repeat until it has advanced.
    let deadline = Instant::now() + Duration::from_secs(30);
    let own = json!({"access_token": tokens["access_token"]});
    let too_short = json!({
        "access_token": tokens["access_token"],
        "current_password": PASSWORD,
        "new_password": "short",
    });
    loop {
        let error = server
            .call("change_password", too_short.clone())
            .unwrap_err();
        if error["code"] == -32001 {
            break;
        }
        assert!(Instant::now() < deadline, "{error}");
    }
    for operation in ["disable_totp", "create_recovery_codes", "enroll_totp"] {
        let error = server.call(operation, own.clone()).unwrap_err();
        assert_eq!(error["code"], -32001, "{operation}: {error}");
        assert!(error.to_string().contains("began recently"), "{error}");
    }
    let credentials = json!({"username": "victim", "password": PASSWORD});
    let outcome = server.call("login", credentials).unwrap();
    let input = json!({"challenge": outcome["challenge"], "code": recovery_codes[0]});
    server.call("complete_login", input).unwrap();
}

/// No session has low assurance while its account has a second factor, except through a
/// fault. The test therefore writes one into the store.
#[tokio::test(flavor = "multi_thread")]
async fn attack_30_a_session_of_low_assurance_cannot_change_the_second_factor() {
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
        .build()
        .unwrap();
    let anonymous = Caller {
        principal: Principal::Anonymous,
        source: Some("203.0.113.7".into()),
    };
    let invoke = async |operation: &str, input: Value| {
        let input = input.to_string();
        let answer = plugin.invoke(anonymous.clone(), operation, &input);
        let answer = answer.await.unwrap();
        let output = answer.map_err(|error| (error.code, error.message))?;
        Ok::<Value, (i32, String)>(serde_json::from_str(&output).unwrap())
    };
    let credentials = json!({"username": "victim", "password": PASSWORD});
    invoke("register", credentials.clone()).await.unwrap();
    let login = async || plugin.login(anonymous.clone(), "victim", PASSWORD).await;
    let LoginOutcome::Tokens(tokens) = login().await.unwrap().unwrap() else {
        panic!("there is no second factor yet");
    };
    let own = json!({"access_token": tokens.access_token});
    let enrolment = invoke("enroll_totp", own.clone()).await.unwrap();
    let secret = enrolment["secret"].as_str().unwrap();
    // The step may end between a code and its check.
    let mut tries = 0..3;
    let mut confirmed = loop {
        tries.next().expect("one of the codes is accepted");
        let code = totp_code(secret, step());
        let input = json!({"access_token": tokens.access_token, "code": code});
        if let Ok(confirmed) = invoke("confirm_totp", input).await {
            break confirmed;
        }
    };
    let recovery_codes = confirmed["recovery_codes"].take();

    let key = format!("session/{}", tokens.session_id);
    let mut found = plugin
        .store()
        .get(std::slice::from_ref(&key))
        .await
        .unwrap();
    let mut session: Value = serde_json::from_slice(&found.remove(0).unwrap().value).unwrap();
    assert_eq!(session["amr"], json!(["pwd", "otp", "mfa"]));
    session["amr"] = json!(["pwd"]);
    let lowered = Mutation {
        key,
        expect: Expect::Any,
        put: Some(session.to_string().into()),
        ttl: None,
    };
    plugin.store().commit(vec![lowered]).await.unwrap();

    let change = json!({
        "access_token": tokens.access_token,
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    });
    for (operation, input) in [
        ("disable_totp", own.clone()),
        ("create_recovery_codes", own.clone()),
        ("enroll_totp", own),
        ("change_password", change),
    ] {
        let (code, message) = invoke(operation, input).await.unwrap_err();
        assert_eq!(code, -32001, "{operation}: {message}");
        assert!(message.contains("second factor"), "{operation}: {message}");
    }
    let LoginOutcome::Challenge(asked) = login().await.unwrap().unwrap() else {
        panic!("the second factor is still there");
    };
    assert_eq!(asked.methods, ["totp", "recovery_code"]);
    let code = recovery_codes[0].as_str().unwrap();
    let completed = plugin.complete_login(anonymous.clone(), &asked.challenge, code);
    let completed = completed.await.unwrap().unwrap();
    let claims = plugin.verify_token(anonymous.clone(), &completed.access_token);
    let claims = claims.await.unwrap().unwrap().unwrap();
    assert_eq!(claims.acr, "aal2");
    assert_eq!(claims.amr, ["pwd", "mfa"]);
}
