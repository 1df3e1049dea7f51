//! The second factor: setting it up, logging in with it, and removing it.

mod throttling;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::domain::caller::Principal;
use crate::operations;
use crate::ports::MessageKind;
use crate::testing::{self, World};

const PASSWORD: &str = "correct horse battery staple";

/// Computes the code that an app shows, independently of the code under test, as apps do.
pub(super) fn shown(secret: &str, step: u64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let mut mac = Hmac::<Sha1>::new_from_slice(&secret).unwrap();
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A user with a confirmed app.
struct User {
    world: World,
    secret: String,
    tokens: Value,
    recovery_codes: Vec<String>,
}

impl User {
    /// Registers the user and confirms the app one time step ago.
    fn new() -> User {
        let world = World::new();
        let tokens = world.alice();
        let secret = enroll(&world, &tokens).unwrap();
        let input = json!({
            "access_token": tokens["access_token"],
            "code": shown(&secret, step(&world)),
        });
        let confirmed = world.run("confirm_totp", input).unwrap();
        world.pass(30);
        User {
            recovery_codes: texts(&confirmed["recovery_codes"]),
            world,
            secret,
            tokens,
        }
    }

    fn code(&self) -> String {
        shown(&self.secret, step(&self.world))
    }

    /// Returns a code that the app shows in none of the adjacent time steps.
    fn wrong_code(&self) -> String {
        let now = step(&self.world);
        let near: Vec<String> = (now - 2..=now + 2)
            .map(|step| shown(&self.secret, step))
            .collect();
        let mut codes = (0..10).map(|digit| digit.to_string().repeat(6));
        codes.find(|code| !near.contains(code)).unwrap()
    }

    fn challenge(&self) -> Value {
        let credentials = json!({"username": "alice", "password": PASSWORD});
        self.world.run("login", credentials).unwrap()["challenge"].take()
    }

    fn complete(&self, challenge: &Value, code: &str) -> Result<Value, i32> {
        let input = json!({"challenge": challenge, "code": code});
        self.world.run("complete_login", input)
    }

    /// Logs in from the start, with the password and this code.
    fn login(&self, code: &str) -> Result<Value, i32> {
        self.complete(&self.challenge(), code)
    }

    fn own(&self, operation: &str) -> Result<Value, i32> {
        as_owner(&self.world, &self.tokens, operation)
    }

    /// Makes the session one that began with the password alone, which no login can
    /// create while a second factor exists.
    fn lower_assurance(&self) {
        let key = format!("session/{}", self.tokens["session_id"].as_str().unwrap());
        let mut session: Value = serde_json::from_slice(&self.world.stored(&key).unwrap()).unwrap();
        session["amr"] = json!(["pwd"]);
        let lowered = serde_json::to_vec(&session).unwrap();
        self.world.tamper(&key, Some(lowered));
    }
}

fn step(world: &World) -> u64 {
    world.now_ms.get() / 30_000
}

fn texts(array: &Value) -> Vec<String> {
    let texts = array.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn as_owner(world: &World, tokens: &Value, operation: &str) -> Result<Value, i32> {
    let input = json!({"access_token": tokens["access_token"]});
    world.run(operation, input)
}

fn enroll(world: &World, tokens: &Value) -> Result<String, i32> {
    let enrolment = as_owner(world, tokens, "enroll_totp")?;
    Ok(enrolment["secret"].as_str().unwrap().to_owned())
}

fn active(world: &World, tokens: &Value) -> bool {
    let answer = world.run("verify_token", json!({"token": tokens["access_token"]}));
    answer.unwrap()["active"] == true
}

#[test]
fn the_secret_of_an_app_is_returned_as_text_and_uri_and_never_stored() {
    let world = World::new();
    let tokens = world.alice();
    let enrolment = as_owner(&world, &tokens, "enroll_totp").unwrap();
    let secret = enrolment["secret"].as_str().unwrap();
    assert_eq!(BASE32_NOPAD.decode(secret.as_bytes()).unwrap().len(), 20);
    let uri = enrolment["otpauth_uri"].as_str().unwrap();
    assert_eq!(
        uri,
        format!(
            "otpauth://totp/user-auth:alice?secret={secret}&issuer=user-auth\
             &algorithm=SHA1&digits=6&period=30"
        )
    );
    assert_eq!(enrolment.as_object().unwrap().len(), 2, "{enrolment}");
    let stored = world.dump("") + &json!(*world.audited.borrow()).to_string();
    assert!(stored.contains("enroll_totp") && !stored.contains(secret));
}

#[test]
fn qr_codes_are_drawn_in_the_requested_form() {
    let world = World::new();
    let tokens = world.alice();
    let drawn = |form: &str| {
        let input = json!({"access_token": tokens["access_token"], "qr": form});
        world.run("enroll_totp", input)
    };
    assert!(drawn("none").unwrap().get("qr").is_none());
    let text = drawn("text").unwrap();
    assert!(text["qr"].as_str().unwrap().contains('▀'), "{text}");
    let svg = drawn("svg").unwrap();
    assert!(svg["qr"].as_str().unwrap().contains("<path"), "{svg}");
    assert_eq!(drawn("pdf"), Err(-32000));
}

#[test]
fn an_app_is_required_only_after_its_confirmation() {
    let world = World::new();
    let tokens = world.alice();
    let secret = enroll(&world, &tokens).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let other = world.run("login", credentials.clone()).unwrap();
    assert!(other["access_token"].is_string(), "not yet");
    let confirm = |code: &str| {
        let input = json!({"access_token": tokens["access_token"], "code": code});
        world.run("confirm_totp", input)
    };
    assert_eq!(confirm(&shown(&secret, step(&world) - 2)), Err(-32001));
    let confirmed = confirm(&shown(&secret, step(&world))).unwrap();
    assert_eq!(texts(&confirmed["recovery_codes"]).len(), 10);
    assert!(active(&world, &tokens));
    assert!(!active(&world, &other), "others end");
    let outcome = world.run("login", credentials).unwrap();
    assert!(outcome["access_token"].is_null());
    assert_eq!(outcome["expires_in"], 300);
    assert_eq!(outcome["methods"], json!(["totp", "recovery_code"]));
    assert_eq!(
        confirm(&shown(&secret, step(&world))),
        Err(-32000),
        "there is nothing to confirm any more"
    );
}

#[test]
fn sessions_report_their_assurance_level_and_a_refresh_keeps_it() {
    let user = User::new();
    let seen = |tokens: &Value| {
        let session = as_owner(&user.world, tokens, "get_session").unwrap();
        let token = json!({"token": tokens["access_token"]});
        let verified = user.world.run("verify_token", token.clone()).unwrap();
        let operator = Principal::Operator;
        let introspected = user.world.run_as(operator, "introspect_token", token);
        let introspected = introspected.unwrap();
        for name in ["acr", "amr"] {
            assert_eq!(session[name], verified[name]);
            assert_eq!(session[name], introspected[name]);
        }
        assert_eq!(verified["auth_time"], introspected["auth_time"]);
        json!([session["acr"], session["amr"], verified["auth_time"]])
    };
    let began = user.world.now_ms.get() / 1000;
    assert_eq!(
        seen(&user.tokens),
        json!(["aal2", ["pwd", "otp", "mfa"], began - 30]),
        "since it was confirmed in it"
    );
    let tokens = user.login(&user.code()).unwrap();
    let expected = json!(["aal2", ["pwd", "otp", "mfa"], began]);
    assert_eq!(seen(&tokens), expected);
    user.world.pass(60);
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = user.world.run("refresh_token", refresh).unwrap();
    assert_eq!(seen(&refreshed), expected);

    let tokens = user.login(&user.recovery_codes[0]).unwrap();
    assert_eq!(seen(&tokens), json!(["aal2", ["pwd", "mfa"], began + 60]));
    user.world
        .run("register", json!({"username": "bob", "password": PASSWORD}))
        .unwrap();
    let credentials = json!({"username": "bob", "password": PASSWORD});
    let tokens = user.world.run("login", credentials).unwrap();
    assert_eq!(seen(&tokens), json!(["aal1", ["pwd"], began + 60]));
}

#[test]
fn a_code_is_accepted_once_and_earlier_codes_are_refused_after_it() {
    let user = User::new();
    let (earlier, code) = (shown(&user.secret, step(&user.world) - 1), user.code());
    assert_eq!(user.login(&earlier), Err(-32001), "it confirmed the app");
    user.login(&code).unwrap();
    assert_eq!(user.login(&code), Err(-32001), "replayed");
    assert_eq!(user.login(&earlier), Err(-32001), "earlier");
    user.world.pass(30);
    user.login(&user.code()).unwrap();
}

#[test]
fn a_recovery_code_is_accepted_once_and_not_after_a_newer_set() {
    let user = User::new();
    let [first, second, third] = [0, 1, 2].map(|index| user.recovery_codes[index].as_str());
    let typed = first.to_uppercase().replace('-', " ").replace('0', "O");
    user.login(&typed).unwrap();
    assert_eq!(user.login(first), Err(-32001), "used");
    user.login(second).unwrap();
    let renewed = user.own("create_recovery_codes").unwrap();
    assert_eq!(user.login(third), Err(-32001), "of the old set");
    let renewed = texts(&renewed["recovery_codes"]);
    for code in &renewed {
        user.login(code).unwrap();
    }
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let outcome = user.world.run("login", credentials).unwrap();
    assert_eq!(outcome["methods"], json!(["totp"]), "none is left");
    let stored = user.world.dump("");
    assert!(stored.contains("recovery_codes"));
    assert!(renewed.iter().all(|code| !stored.contains(code.as_str())));
}

#[test]
fn a_challenge_is_valid_for_one_login_and_five_minutes() {
    let user = User::new();
    let challenge = user.challenge();
    user.complete(&challenge, &user.code()).unwrap();
    let code = &user.recovery_codes[0];
    assert_eq!(user.complete(&challenge, code), Err(-32001), "answered");
    let challenge = user.challenge();
    user.world.pass(5 * 60 - 1);
    let in_time = user.complete(&challenge, code);
    assert!(in_time.is_ok());
    let challenge = user.challenge();
    user.world.pass(5 * 60);
    let code = &user.recovery_codes[1];
    assert_eq!(user.complete(&challenge, code), Err(-32001), "too late");
    for made_up in ["", "uax_", "uax_AAAA", &format!("uax_{}", "A".repeat(64))] {
        assert_eq!(user.complete(&json!(made_up), code), Err(-32001));
    }
    let mut forged = user.challenge().as_str().unwrap().to_owned();
    forged.replace_range(60..61, if &forged[60..61] == "A" { "B" } else { "A" });
    assert_eq!(user.complete(&json!(forged), code), Err(-32001), "forged");
}

#[test]
fn five_wrong_codes_end_a_challenge() {
    let user = User::new();
    let challenge = user.challenge();
    for _ in 0..4 {
        assert_eq!(user.complete(&challenge, &user.wrong_code()), Err(-32001));
    }
    let (last, spent) = (challenge, user.challenge());
    assert!(user.complete(&last, &user.code()).is_ok(), "the fifth");
    for _ in 0..5 {
        assert_eq!(user.complete(&spent, &user.wrong_code()), Err(-32001));
    }
    let code = &user.recovery_codes[0];
    assert_eq!(user.complete(&spent, code), Err(-32001));
}

#[test]
fn a_challenge_ends_when_the_account_or_its_credentials_change() {
    for end in ["password", "sessions", "factor", "reset", "disable"] {
        let user = User::new();
        let challenge = user.challenge();
        let operator = |operation| {
            let input = json!({"username": "alice"});
            user.world.run_as(Principal::Operator, operation, input)
        };
        let ended = match end {
            "password" => user.world.run(
                "change_password",
                json!({
                    "access_token": user.tokens["access_token"],
                    "current_password": PASSWORD,
                    "new_password": "another good long password",
                }),
            ),
            "sessions" => user.own("revoke_other_sessions"),
            "factor" => {
                let secret = enroll(&user.world, &user.tokens).unwrap();
                let input = json!({
                    "access_token": user.tokens["access_token"],
                    "code": shown(&secret, step(&user.world)),
                });
                user.world.run("confirm_totp", input)
            }
            "reset" => operator("reset_second_factor"),
            _ => operator("disable_user"),
        };
        ended.unwrap();
        let answers = [user.code(), user.recovery_codes[0].clone()];
        for answer in answers {
            assert_eq!(user.complete(&challenge, &answer), Err(-32001), "{end}");
        }
    }
}

#[test]
fn all_refusals_of_a_code_are_the_same() {
    let user = User::new();
    let refusal = |challenge: Value, code: &str| {
        let input = json!({"challenge": challenge, "code": code});
        let error = testing::invoke("complete_login", input, &user.world.call());
        let error = error.unwrap_err();
        error.to_object(user.world.ports().clock.now())
    };
    let wrong = refusal(user.challenge(), &user.wrong_code());
    let unknown_code = "0000-0000-0000-0000-0000-0000-0000";
    assert_eq!(wrong, refusal(user.challenge(), unknown_code));
    assert_eq!(wrong, refusal(json!("uax_made-up"), &user.code()));
    let code = user.code();
    user.login(&code).unwrap();
    assert_eq!(wrong, refusal(user.challenge(), &code));
    let input = json!({"challenge": user.challenge(), "code": "12345"});
    let malformed = user.world.run("complete_login", input);
    assert_eq!(malformed, Err(-32000), "it is told what a code looks like");
}

#[test]
fn a_wrong_password_does_not_reveal_a_second_factor() {
    let user = User::new();
    user.world
        .run("register", json!({"username": "bob", "password": PASSWORD}))
        .unwrap();
    let refusal = |username: &str| {
        let input = json!({"username": username, "password": "this is a wrong one"});
        let error = testing::invoke("login", input, &user.world.call()).unwrap_err();
        error.to_object(user.world.ports().clock.now())
    };
    assert_eq!(refusal("alice"), refusal("bob"));
    assert_eq!(refusal("alice"), refusal("nobody"));
}

#[test]
fn whitespace_around_a_challenge_is_ignored() {
    let user = User::new();
    let challenge = format!(" {}\n", user.challenge().as_str().unwrap());
    user.complete(&json!(challenge), &user.code()).unwrap();
}

#[test]
fn removing_a_second_factor_requires_a_recent_login_with_it() {
    let change = |user: &User| {
        let input = json!({
            "access_token": user.tokens["access_token"],
            "current_password": PASSWORD,
            "new_password": "another good long password",
        });
        user.world.run("change_password", input)
    };
    let guarded = ["disable_totp", "create_recovery_codes", "enroll_totp"];
    for lower in [true, false] {
        let user = User::new();
        match lower {
            true => user.lower_assurance(),
            false => user.world.pass(5 * 60),
        }
        assert!(active(&user.world, &user.tokens));
        for operation in guarded {
            assert_eq!(user.own(operation), Err(-32001), "{operation}");
        }
        assert_eq!(change(&user), Err(-32001));
        let login = user.login(&user.code());
        assert!(login.is_ok(), "all is as it was");
    }
    let user = User::new();
    for operation in ["enroll_totp", "create_recovery_codes", "disable_totp"] {
        user.own(operation).unwrap();
    }
    change(&user).unwrap();
}

#[test]
fn a_session_without_the_second_factor_cannot_confirm_an_app_that_a_stronger_one_enrolled() {
    let user = User::new();
    let secret = enroll(&user.world, &user.tokens).unwrap();
    user.lower_assurance();
    let input = json!({
        "access_token": user.tokens["access_token"],
        "code": shown(&secret, step(&user.world)),
    });
    assert_eq!(user.world.run("confirm_totp", input), Err(-32001));
}

#[test]
fn after_removal_of_the_second_factor_the_password_alone_logs_in() {
    let user = User::new();
    let other = user.login(&user.code()).unwrap();
    user.own("disable_totp").unwrap();
    assert!(active(&user.world, &user.tokens));
    assert!(!active(&user.world, &other), "others end");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let outcome = user.world.run("login", credentials).unwrap();
    assert!(outcome["access_token"].is_string());
    assert_eq!(user.own("disable_totp"), Err(-32000), "there is none");
    assert_eq!(user.own("create_recovery_codes"), Err(-32000));
}

#[test]
fn the_previous_app_is_valid_until_the_next_is_confirmed() {
    let user = User::new();
    let secret = enroll(&user.world, &user.tokens).unwrap();
    assert_eq!(user.login(&shown(&secret, step(&user.world))), Err(-32001));
    user.login(&user.code()).unwrap();
    user.world.pass(30);
    let input = json!({
        "access_token": user.tokens["access_token"],
        "code": shown(&secret, step(&user.world)),
    });
    user.world.run("confirm_totp", input).unwrap();
    user.world.pass(30);
    assert_eq!(user.login(&user.code()), Err(-32001), "the old app");
    assert_eq!(
        user.login(&user.recovery_codes[0]),
        Err(-32001),
        "its codes"
    );
    user.login(&shown(&secret, step(&user.world))).unwrap();
}

#[test]
fn administrators_can_remove_a_lost_second_factor() {
    let user = User::new();
    let world = &user.world;
    for _ in 0..9 {
        assert_eq!(user.login(&user.wrong_code()), Err(-32001));
    }
    let as_operator = |operation: &str| {
        let input = json!({"username": "alice"});
        world.run_as(Principal::Operator, operation, input).unwrap()
    };
    assert_eq!(as_operator("get_user")["second_factor"], true);
    world
        .run(
            "register",
            json!({"username": "mallory", "password": PASSWORD}),
        )
        .unwrap();
    let credentials = json!({"username": "mallory", "password": PASSWORD});
    let mallory = world.run("login", credentials).unwrap();
    let input = json!({"username": "alice", "access_token": mallory["access_token"]});
    let refused = world.run("reset_second_factor", input);
    assert_eq!(refused, Err(-32002));

    let reset = as_operator("reset_second_factor");
    assert_eq!(reset["second_factor"], false);
    assert!(!active(world, &user.tokens), "all sessions end");
    let again = as_operator("reset_second_factor");
    assert_eq!(again, reset, "twice is once");
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let outcome = world.run("login", credentials).unwrap();
    assert!(outcome["access_token"].is_string());
    assert!(active(world, &outcome), "the second reset ended nothing");
}

#[test]
fn changes_of_a_second_factor_are_audited_without_secrets() {
    let user = User::new();
    let challenge = user.challenge();
    let wrong = user.wrong_code();
    user.complete(&challenge, &wrong).unwrap_err();
    let code = user.code();
    user.complete(&challenge, &code).unwrap();
    user.login(&user.recovery_codes[0]).unwrap();
    user.own("create_recovery_codes").unwrap();
    user.own("disable_totp").unwrap();
    let audited = user.world.audited.borrow();
    let seen: Vec<String> = audited
        .iter()
        .skip(2)
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap();
            format!("{} {}", text("operation"), text("outcome"))
        })
        .collect();
    assert_eq!(
        seen,
        [
            "enroll_totp success",
            "confirm_totp success",
            "login second_factor_required",
            "complete_login invalid_code",
            "complete_login success",
            "login second_factor_required",
            "complete_login success",
            "create_recovery_codes success",
            "disable_totp success",
        ]
    );
    let text = json!(*audited).to_string();
    for secret in [user.secret.as_str(), challenge.as_str().unwrap()] {
        assert!(!text.contains(secret));
    }
    for code in &user.recovery_codes {
        assert!(!text.contains(code.as_str()));
    }
}

#[test]
fn owners_are_notified_of_second_factor_changes_and_need_it_to_change_their_address() {
    let user = User::new();
    let ask = |operation: &str, mut input: Value| {
        input["access_token"] = user.tokens["access_token"].clone();
        user.world.run(operation, input)
    };
    let email = json!({"email": "alice@example.com"});
    ask("request_email_change", email).unwrap();
    let code = user.world.outbox.borrow_mut().pop().unwrap().code.unwrap();
    let confirm = json!({"code": code.0.expose()});
    ask("confirm_email", confirm).unwrap();
    user.own("create_recovery_codes").unwrap();
    let secret = enroll(&user.world, &user.tokens).unwrap();
    user.world.pass(30);
    let code = shown(&secret, step(&user.world));
    ask("confirm_totp", json!({"code": code})).unwrap();
    let kinds = || -> Vec<MessageKind> {
        let outbox = user.world.outbox.take();
        outbox.iter().map(|message| message.kind).collect()
    };
    assert_eq!(kinds(), [MessageKind::SecondFactorChanged; 2]);

    user.lower_assurance();
    let email = json!({"email": "mallory@example.com"});
    assert_eq!(ask("request_email_change", email), Err(-32001));
    let alice = json!({"username": "alice"});
    let reset = user
        .world
        .run_as(Principal::Operator, "reset_second_factor", alice);
    reset.unwrap();
    assert_eq!(kinds(), [MessageKind::SecondFactorChanged]);
}

#[test]
fn a_password_reset_keeps_the_second_factor() {
    let user = User::new();
    let ask = |operation: &str, mut input: Value| {
        input["access_token"] = user.tokens["access_token"].clone();
        user.world.run(operation, input).unwrap();
        let message = user.world.outbox.borrow_mut().pop().unwrap();
        message.code.unwrap().0.expose().to_owned()
    };
    let code = ask(
        "request_email_change",
        json!({"email": "alice@example.com"}),
    );
    let confirm = json!({"code": code, "access_token": user.tokens["access_token"]});
    user.world.run("confirm_email", confirm).unwrap();
    user.world
        .run("request_password_reset", json!({"username": "alice"}))
        .unwrap();
    let message = user.world.outbox.borrow_mut().pop().unwrap();
    let code = message.code.unwrap().0;
    let new_password = "another good long password";
    let reset = json!({"code": code.expose(), "new_password": new_password});
    user.world.run("confirm_password_reset", reset).unwrap();

    let answer = user.world.log_in("alice", new_password).unwrap();
    assert!(answer["access_token"].is_null(), "{answer}");
    let code = user.code();
    assert!(user.complete(&answer["challenge"], &code).is_ok());
}

#[test]
fn the_schema_of_login_declares_both_possible_results() {
    let schema = operations::find("login").unwrap().output_schema();
    assert_eq!(schema["type"], "object", "{schema}");
    let required: Vec<&Value> = schema["anyOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| &outcome["required"][0])
        .collect();
    assert_eq!(required, ["access_token", "challenge"]);
}

#[test]
fn every_operation_that_requires_a_recent_login_requires_the_second_factor() {
    let user = User::new();
    let key = json!({"name": "ci", "access_token": user.tokens["access_token"]});
    let key = user.world.run("create_api_key", key).unwrap();
    user.lower_assurance();
    let of_fresh_sessions = operations::TABLE
        .iter()
        .filter(|definition| definition.requires.is_of_a_fresh_session());
    let mut tried = 0;
    for definition in of_fresh_sessions {
        let mut input = match definition.name {
            "change_password" => {
                json!({"current_password": PASSWORD, "new_password": "another good long password"})
            }
            "confirm_totp" => json!({"code": "000000"}),
            "create_api_key" => json!({"name": "ci"}),
            "rotate_api_key" => json!({"key_id": key["key_id"]}),
            "request_email_change" => json!({"email": "alice@example.com"}),
            _ => json!({}),
        };
        input["access_token"] = user.tokens["access_token"].clone();
        let error = testing::invoke(definition.name, input, &user.world.call());
        let error = error.unwrap_err();
        assert_eq!(error.kind.code(), -32001, "{}", definition.name);
        assert_eq!(error.details()["acr_values"], "aal2", "{}", definition.name);
        tried += 1;
    }
    assert_eq!(tried, 8);
}
