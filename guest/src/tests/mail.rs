//! Codes and notices by email: password reset, verification, change of address.

mod limits;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::accounts::account::Account;
use crate::domain::caller::Principal;
use crate::ports::{Message, MessageKind};
use crate::testing::{self, World};
use crate::types::id::Id;

const PASSWORD: &str = "correct horse battery staple";
const NEW_PASSWORD: &str = "another good long password";
const ALICE: &str = "Alice@example.com";

impl World {
    /// Registers a user with this address, and logs the user in.
    fn with_email(&self, username: &str, email: &str) -> Value {
        let account = json!({"username": username, "password": PASSWORD, "email": email});
        self.run("register", account).unwrap();
        self.log_in(username, PASSWORD).unwrap()
    }

    /// Does the same and verifies the address.
    fn verified(&self, username: &str, email: &str) -> Value {
        let tokens = self.with_email(username, email);
        self.ask(&tokens, "request_email_verification", json!({}))
            .unwrap();
        let confirm = json!({"code": self.last_code()});
        self.ask(&tokens, "confirm_email", confirm).unwrap();
        self.outbox.borrow_mut().clear();
        tokens
    }

    fn ask(&self, tokens: &Value, operation: &str, mut input: Value) -> Result<Value, i32> {
        input["access_token"] = tokens["access_token"].clone();
        self.run(operation, input)
    }

    fn last_code(&self) -> String {
        let outbox = self.outbox.borrow();
        let with_code = outbox.iter().rev().find_map(|message| message.code.clone());
        with_code.expect("a code was sent").0.expose().to_owned()
    }

    fn sent(&self) -> Vec<(MessageKind, String)> {
        let outbox = self.outbox.borrow();
        let view = |message: &Message| (message.kind, message.to.clone());
        outbox.iter().map(view).collect()
    }

    fn reset_code(&self, username: &str) -> String {
        self.run("request_password_reset", json!({"username": username}))
            .unwrap();
        self.last_code()
    }

    fn reset(&self, code: &str) -> Result<Value, i32> {
        let input = json!({"code": code, "new_password": NEW_PASSWORD});
        self.run("confirm_password_reset", input)
    }

    fn shown(&self, username: &str) -> Value {
        let input = json!({"username": username});
        self.run_as(Principal::Operator, "get_user", input).unwrap()
    }

    fn is_alive(&self, tokens: &Value) -> bool {
        let input = json!({"token": tokens["access_token"]});
        self.run("verify_token", input).unwrap()["active"] == true
    }
}

#[test]
fn a_code_sent_to_the_verified_address_resets_the_password_and_ends_sessions_and_keys() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let key = json!({"name": "mine"});
    let key = world.ask(&tokens, "create_api_key", key).unwrap();
    let code = world.reset_code("alice");
    let sent = [MessageKind::ApiKeyCreated, MessageKind::PasswordReset];
    assert_eq!(world.sent(), sent.map(|kind| (kind, ALICE.to_owned())));

    let weak = json!({"code": code, "new_password": "short"});
    assert_eq!(world.run("confirm_password_reset", weak), Err(-32000));
    world.reset(&code).unwrap();
    assert!(!world.is_alive(&tokens), "sessions end");
    let key = key["api_key"].as_str().unwrap().to_owned();
    let key = Principal::ApiKey(crate::types::secret::Secret::new(key));
    assert_eq!(
        world.run_as(key, "list_api_keys", json!({})),
        Err(-32001),
        "API keys end"
    );
    assert_eq!(world.log_in("alice", PASSWORD), Err(-32001));
    world.log_in("alice", NEW_PASSWORD).unwrap();
    let notice = (MessageKind::PasswordChanged, ALICE.to_owned());
    assert!(world.sent().contains(&notice), "{:?}", world.sent());
    assert_eq!(world.reset(&code), Err(-32001), "a code is good once");
}

#[test]
fn a_password_reset_trusts_its_own_source_and_no_earlier_ones() {
    let world = World::new();
    world.verified("alice", ALICE);
    let login = |peer: &str, password: &str| {
        let input = json!({"username": "alice", "password": password});
        world.run_from(peer, "login", input).err()
    };
    assert_eq!(login("198.51.100.66", PASSWORD), None);
    let input = json!({"code": world.reset_code("alice"), "new_password": NEW_PASSWORD});
    world
        .run_from("198.51.100.7", "confirm_password_reset", input)
        .unwrap();
    for guess in 0..100 {
        let peer = format!("203.0.113.{}", guess / 10);
        assert_eq!(login(&peer, "a wrong one"), Some(-32001), "{guess}");
    }
    for peer in ["198.51.100.66", "192.0.2.1"] {
        assert_eq!(login(peer, NEW_PASSWORD), Some(-32003), "{peer}");
    }
    assert_eq!(login("198.51.100.7", NEW_PASSWORD), None);
}

#[test]
fn a_password_reset_lets_a_throttled_owner_log_in() {
    let world = World::new();
    world.verified("alice", ALICE);
    for _ in 0..11 {
        world.log_in("alice", "a wrong one").unwrap_err();
    }
    assert_eq!(world.log_in("alice", PASSWORD), Err(-32003));
    let code = world.reset_code("alice");
    world.reset(&code).unwrap();
    world.log_in("alice", NEW_PASSWORD).unwrap();
}

#[test]
fn codes_end_by_expiry_and_by_a_newer_code() {
    let world = World::new();
    world.verified("alice", ALICE);
    let first = world.reset_code("alice");
    let second = world.reset_code("alice");
    assert_eq!(world.reset(&first), Err(-32001), "there is a newer one");
    world.pass(10 * 60);
    assert_eq!(world.reset(&second), Err(-32001), "its time is over");
    let third = world.reset_code("alice");
    world.pass(10 * 60 - 1);
    world.reset(&third).unwrap();
}

#[test]
fn codes_are_valid_only_for_their_purpose() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let reset = world.reset_code("alice");
    let confirm = json!({"code": reset});
    assert_eq!(world.ask(&tokens, "confirm_email", confirm), Err(-32001));
    let change = json!({"email": "new@example.com"});
    world.ask(&tokens, "request_email_change", change).unwrap();
    assert_eq!(world.reset(&world.last_code()), Err(-32001));
    world.reset(&reset).unwrap();
}

#[test]
fn changes_of_password_address_or_status_end_all_codes() {
    let change_password = |world: &World, tokens: &Value| {
        let input = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
        world.ask(tokens, "change_password", input).unwrap();
        assert_eq!(
            world.sent().last(),
            Some(&(MessageKind::PasswordChanged, ALICE.to_owned()))
        );
    };
    let change_address = |world: &World, tokens: &Value| {
        let input = json!({"email": "new@example.com"});
        world.ask(tokens, "request_email_change", input).unwrap();
        let code = world.last_code();
        let confirm = json!({"code": code});
        world.ask(tokens, "confirm_email", confirm).unwrap();
    };
    let disable_and_enable = |world: &World, _: &Value| {
        for operation in ["disable_user", "enable_user"] {
            let input = json!({"username": "alice"});
            world.run_as(Principal::Operator, operation, input).unwrap();
        }
    };
    type Change<'a> = &'a dyn Fn(&World, &Value);
    let changes: [Change; 3] = [&change_password, &change_address, &disable_and_enable];
    for (number, change) in changes.into_iter().enumerate() {
        let world = World::new();
        let tokens = world.verified("alice", ALICE);
        let code = world.reset_code("alice");
        change(&world, &tokens);
        assert_eq!(world.reset(&code), Err(-32001), "{number}");
        assert_eq!(world.dump("code/"), "", "{number}");
    }
}

#[test]
fn only_a_reader_of_the_mailbox_can_verify_or_change_to_an_address() {
    let world = World::new();
    let tokens = world.with_email("alice", ALICE);
    assert_eq!(world.shown("alice")["email_verified"], false);
    world
        .ask(&tokens, "request_email_verification", json!({}))
        .unwrap();
    let code = world.last_code();
    let confirm = json!({"code": code});
    world.ask(&tokens, "confirm_email", confirm).unwrap();
    assert_eq!(world.shown("alice")["email_verified"], true);
    let again = world.ask(&tokens, "request_email_verification", json!({}));
    assert_eq!(again, Err(-32000), "it is verified already");

    world.outbox.borrow_mut().clear();
    let change = json!({"email": "new@example.com"});
    world.ask(&tokens, "request_email_change", change).unwrap();
    assert_eq!(
        world.sent(),
        [
            (MessageKind::EmailChangeRequested, ALICE.to_owned()),
            (MessageKind::EmailChange, "new@example.com".to_owned()),
        ]
    );
    assert_eq!(
        world.shown("alice")["email"],
        ALICE,
        "until it is confirmed"
    );
    let code = world.last_code();
    let confirm = json!({"code": code});
    world.ask(&tokens, "confirm_email", confirm).unwrap();
    let user = world.shown("alice");
    assert_eq!(
        (&user["email"], &user["email_verified"]),
        (&json!("new@example.com"), &json!(true))
    );
    assert_eq!(
        world.sent().last(),
        Some(&(MessageKind::EmailChanged, ALICE.to_owned())),
        "who read the old one is told"
    );
    // The old address is available to another account.
    world.verified("bob", "alice@example.com");
}

#[test]
fn an_unverified_address_cannot_reset_a_password_or_block_another_account() {
    let world = World::new();
    world.with_email("mallory", ALICE);
    world.verified("alice", "ALICE@example.com");
    for who in [json!({"username": "mallory"}), json!({"email": ALICE})] {
        world.outbox.borrow_mut().clear();
        world.run("request_password_reset", who.clone()).unwrap();
        let expected: &[_] = match who["email"].is_string() {
            true => &[(MessageKind::PasswordReset, "ALICE@example.com".to_owned())],
            false => &[],
        };
        assert_eq!(
            world.sent(),
            expected,
            "the message goes where it was verified"
        );
    }
    assert_eq!(world.shown("alice")["email_verified"], true);
}

#[test]
fn a_verified_address_belongs_to_one_account() {
    let world = World::new();
    world.verified("alice", ALICE);
    let tokens = world.with_email("bob", "ALICE@example.com");
    // The request does not reveal it; the holder of the code reads the mailbox, and may
    // know.
    world
        .ask(&tokens, "request_email_verification", json!({}))
        .unwrap();
    let code = json!({"code": world.last_code()});
    let confirm = || world.ask(&tokens, "confirm_email", code.clone());
    assert_eq!(confirm(), Err(-32000));
    assert_eq!(world.shown("bob")["email_verified"], false);
    let gone = json!({"username": "alice"});
    world
        .run_as(Principal::Operator, "delete_user", gone)
        .unwrap();
    confirm().unwrap();
}

#[test]
fn email_change_codes_are_valid_only_in_a_live_session_of_the_requesting_account() {
    let world = World::new();
    let thief = world.verified("alice", ALICE);
    let change = json!({"email": "mallory@example.com"});
    world.ask(&thief, "request_email_change", change).unwrap();
    let confirm = json!({"code": world.last_code()});
    let owner = world.log_in("alice", PASSWORD).unwrap();
    world
        .ask(&owner, "revoke_other_sessions", json!({}))
        .unwrap();

    assert_eq!(world.run("confirm_email", confirm.clone()), Err(-32001));
    let thiefs = world.ask(&thief, "confirm_email", confirm.clone());
    assert_eq!(thiefs, Err(-32001));
    let mallory = world.with_email("mallory", "mallory@example.com");
    assert_eq!(world.ask(&mallory, "confirm_email", confirm), Err(-32001));
    assert_eq!(world.shown("alice")["email"], ALICE);
    assert_eq!(world.shown("mallory")["email_verified"], false);
}

#[test]
fn codes_of_unknown_accounts_add_nothing_to_existing_audit_trails() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let rotate = || {
        let rotated = world.run_as(Principal::Operator, "rotate_signing_key", json!({}));
        rotated.map(|_| ())
    };
    rotate().unwrap();
    let gone = world.shown("alice")["user_id"].clone();
    let delete = json!({"username": "alice"});
    world
        .run_as(Principal::Operator, "delete_user", delete)
        .unwrap();
    let bob = world.with_email("bob", "bob@example.com");
    let shared = "0".repeat(32);
    for user_id in [shared.as_str(), gone.as_str().unwrap()] {
        let mut bytes = [0; 48];
        base16ct::lower::decode(user_id, &mut bytes[..16]).unwrap();
        let code = format!("uac_{}", URL_SAFE_NO_PAD.encode(bytes));
        let reset = world.reset(&code);
        assert_eq!(reset, Err(-32001));
        let confirm = world.ask(&bob, "confirm_email", json!({"code": code}));
        assert_eq!(confirm, Err(-32001));
    }
    assert!(
        world
            .ask(&tokens, "confirm_email", json!({"code": ""}))
            .is_err()
    );
    // Records about unknown accounts have expired by then, and no others may have.
    world.pass(25 * 60 * 60);
    for user_id in [shared.as_str(), gone.as_str().unwrap()] {
        let input = json!({"user_id": user_id});
        let trail = world.run_as(Principal::Operator, "verify_audit_chain", input);
        assert_eq!(trail.unwrap()["intact"], true, "{user_id}");
    }
    rotate().unwrap();
}

#[test]
fn password_reset_requests_for_all_kinds_of_accounts_return_the_same_with_the_same_work() {
    let world = World::new();
    world.verified("known", "known@example.com");
    world.with_email("unverified", "unverified@example.com");
    world.verified("disabled", "disabled@example.com");
    let disable = json!({"username": "disabled"});
    world
        .run_as(Principal::Operator, "disable_user", disable)
        .unwrap();
    let observe = |input: Value| {
        world.store_calls.borrow_mut().clear();
        world.outbox.borrow_mut().clear();
        let answer = world.run("request_password_reset", input).unwrap();
        (answer, world.store_calls.borrow().clone())
    };
    let known = observe(json!({"username": "known"}));
    assert_eq!(world.sent().len(), 1);
    // The work also stays the same once the quota is used up.
    world.reset_code("known");
    world.reset_code("known");
    for input in [
        json!({"username": "nobody"}),
        json!({"username": "unverified"}),
        json!({"username": "disabled"}),
        json!({"username": "known"}),
        json!({"email": "known@example.com"}),
        json!({"email": "unverified@example.com"}),
        json!({"email": "nobody@example.com"}),
    ] {
        assert_eq!(observe(input.clone()), known, "{input}");
        assert_eq!(world.sent(), [], "{input}");
    }
}

#[test]
fn spellings_of_the_same_domain_are_one_deliverable_address() {
    let world = World::new();
    let form = "Info@xn--mller-kva.example";
    let tokens = world.with_email("alice", "Info@M\u{fc}ller.example");
    let asked = world.ask(&tokens, "request_email_verification", json!({}));
    assert_eq!(asked.unwrap()["email"], form);
    let sent = (MessageKind::EmailVerification, form.to_owned());
    assert_eq!(world.sent(), [sent]);
    let confirm = json!({"code": world.last_code()});
    world.ask(&tokens, "confirm_email", confirm).unwrap();
    for (number, spelling) in [
        "info@m\u{fc}ller.example",
        "info@mu\u{308}ller.example",
        "INFO@XN--MLLER-KVA.EXAMPLE",
    ]
    .into_iter()
    .enumerate()
    {
        // Each spelling finds the account.
        world.outbox.borrow_mut().clear();
        let by_email = json!({"email": spelling});
        world.run("request_password_reset", by_email).unwrap();
        let sent = (MessageKind::PasswordReset, form.to_owned());
        assert_eq!(world.sent(), [sent], "{spelling}");
        // No other account can verify the address.
        let tokens = world.with_email(&format!("eve{number}"), spelling);
        let asked = world.ask(&tokens, "request_email_verification", json!({}));
        asked.unwrap();
        let confirm = json!({"code": world.last_code()});
        let confirmed = world.ask(&tokens, "confirm_email", confirm);
        assert_eq!(confirmed, Err(-32000), "{spelling}");
        world.pass(60 * 60);
    }
}

#[test]
fn accounts_whose_stored_address_is_no_longer_accepted_work_but_get_no_mail() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let old = "a..b@example.com";
    let user_id: Id = serde_json::from_value(world.shown("alice")["user_id"].take()).unwrap();
    let key = Account::key(user_id);
    let record = String::from_utf8(world.stored(&key).unwrap()).unwrap();
    world.tamper(&key, Some(record.replace(ALICE, old).into_bytes()));
    assert_eq!(world.shown("alice")["email"], old);
    world.log_in("alice", PASSWORD).unwrap();
    world.outbox.borrow_mut().clear();
    world
        .run("request_password_reset", json!({"username": "alice"}))
        .unwrap();
    let asked = world.ask(&tokens, "request_email_verification", json!({}));
    assert_eq!(asked, Err(-32000));
    assert_eq!(world.sent(), []);

    let change = json!({"email": "new@example.com"});
    world.ask(&tokens, "request_email_change", change).unwrap();
    let confirm = json!({"code": world.last_code()});
    world.ask(&tokens, "confirm_email", confirm).unwrap();
    assert_eq!(world.shown("alice")["email"], "new@example.com");
}

#[test]
fn administrators_can_force_a_password_reset_without_seeing_the_code() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let without = world.with_email("bob", "bob@example.com");
    let force = |username: &str| {
        let input = json!({"username": username});
        world.run_as(Principal::Operator, "force_password_reset", input)
    };
    let forced = force("alice").unwrap();
    assert_eq!(forced["delivered"], true);
    let code = world.last_code();
    assert!(!forced.to_string().contains("uac_"), "{forced}");
    assert!(!world.is_alive(&tokens));
    assert_eq!(world.log_in("alice", PASSWORD), Err(-32001));
    world.reset(&code).unwrap();
    world.log_in("alice", NEW_PASSWORD).unwrap();

    let forced = force("bob").unwrap();
    assert_eq!(forced["delivered"], false, "there is no verified address");
    assert!(!world.is_alive(&without));
    world.outbox_is_full.set(true);
    assert_eq!(force("alice").unwrap()["delivered"], false);

    world.outbox_is_full.set(false);
    let mallory = world.with_email("mallory", "mallory@example.com");
    let input = json!({"username": "alice"});
    let forced = world.ask(&mallory, "force_password_reset", input);
    assert_eq!(forced, Err(-32002));
}

#[test]
fn a_full_mail_queue_is_reported_only_to_authenticated_owners() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    world.outbox_is_full.set(true);
    let change = json!({"email": "new@example.com"});
    let asked = world.ask(&tokens, "request_email_change", change);
    assert_eq!(asked, Err(-32004));
    let known = world.run("request_password_reset", json!({"username": "alice"}));
    let unknown = world.run("request_password_reset", json!({"username": "nobody"}));
    assert_eq!(known, unknown);
    assert!(known.is_ok());
    // The change succeeds even if its notice cannot be sent.
    let change = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
    world.ask(&tokens, "change_password", change).unwrap();
}

#[test]
fn codes_never_appear_in_the_store_the_audit_trail_or_responses() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    let change = json!({"email": "new@example.com"});
    let mut shown = world
        .ask(&tokens, "request_email_change", change)
        .unwrap()
        .to_string();
    let codes = [world.last_code(), world.reset_code("alice")];
    for code in &codes {
        let failed = json!({"code": code, "new_password": "short"});
        let call = world.call();
        let error = testing::invoke("confirm_password_reset", failed, &call).unwrap_err();
        shown += &format!("{error:?}");
    }
    shown += &world.dump("");
    shown += &format!("{:?}", world.audited.borrow());
    shown += &format!("{:?}", world.outbox.borrow());
    for code in codes {
        assert!(!shown.contains(&code["uac_".len()..]), "{code}");
    }
    let verified = json!({"username": "alice"});
    let verified = world.run_as(Principal::Operator, "verify_audit_chain", verified);
    assert_eq!(verified.unwrap()["intact"], true);
}

#[test]
fn address_changes_require_a_recent_login() {
    let world = World::new();
    let tokens = world.verified("alice", ALICE);
    world.pass(5 * 60 + 1);
    let change = json!({"email": "new@example.com"});
    let asked = world.ask(&tokens, "request_email_change", change);
    assert_eq!(asked, Err(-32001));
    assert_eq!(world.sent(), []);
}

#[test]
fn owners_are_notified_of_logins_from_new_sources() {
    let world = World::new();
    world.verified("alice", ALICE);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let told = |peer: &str| {
        world.outbox.borrow_mut().clear();
        world.run_from(peer, "login", credentials.clone()).unwrap();
        world.sent()
    };
    assert_eq!(told("192.0.2.1"), [], "where she is at home");
    let notice = [(MessageKind::LoginFromNewSource, ALICE.to_owned())];
    assert_eq!(told("203.0.113.9"), notice);
    assert_eq!(told("203.0.113.9"), [], "it is not new any more");
    let wrong = json!({"username": "alice", "password": "not the password at all"});
    assert_eq!(world.run_from("203.0.113.10", "login", wrong), Err(-32001));
    assert_eq!(world.sent(), [], "there is nothing to tell");
}
