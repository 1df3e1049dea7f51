//! Delivery of messages to the owners of accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use user_auth_host::api::{Caller, Principal};
use user_auth_host::delivery::WebhookDelivery;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Limits, Plugin, StoreKeys};
use user_auth_tests::{Delivered, Mail, Options, PASSWORD, Server, Smtp, Webhook, built};
use user_auth_tests::{command, folder};

const SECRET: &str = "a secret of thirty-two characters";
const NEW_PASSWORD: &str = "another good long password";

/// Registers a user with an address and has a code sent to it.
fn ask_for_code(server: &Server, username: &str, email: &str) -> Value {
    let account = json!({"username": username, "password": PASSWORD, "email": email});
    server.call("register", account).unwrap();
    let credentials = json!({"username": username, "password": PASSWORD});
    let tokens = server.call("login", credentials).unwrap();
    let own = json!({"access_token": tokens["access_token"]});
    server.call("request_email_verification", own).unwrap()
}

/// Confirms the address with the code as the logged-in user.
fn confirm(server: &Server, username: &str, code: &Value) -> Value {
    let credentials = json!({"username": username, "password": PASSWORD});
    let tokens = server.call("login", credentials).unwrap();
    let input = json!({"code": code, "access_token": tokens["access_token"]});
    server.call("confirm_email", input).unwrap()
}

fn by_webhook(webhook: &Webhook) -> Options {
    Options::new().arg("--delivery").arg(&webhook.url)
}

#[test]
fn a_webhook_receives_each_message_as_signed_json() {
    let webhook = Webhook::start();
    let server = by_webhook(&webhook)
        .env("USER_AUTH_WEBHOOK_SECRET", SECRET)
        .start();
    let sent = ask_for_code(&server, "alice", "alice@example.com");
    assert_eq!(
        sent,
        json!({"email": "alice@example.com", "expires_in": 600})
    );

    let delivered = webhook.receive();
    assert_eq!(delivered.header("content-type"), "application/json");
    let [id, timestamp] = ["webhook-id", "webhook-timestamp"].map(|it| delivered.header(it));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{id}.{timestamp}.{}", delivered.body).as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(
        delivered.header("webhook-signature"),
        format!("v1,{signature}")
    );
    let message = delivered.json();
    assert_eq!(message["kind"], "email-verification");
    assert_eq!(message["to"], "alice@example.com");
    assert_eq!(message["username"], "alice");
    let code = message["code"].as_str().unwrap();
    assert!(message["text"].as_str().unwrap().contains(code));
    assert!(message["expires_at"].as_str().unwrap().ends_with('Z'));
    let confirmed = confirm(&server, "alice", &message["code"]);
    assert_eq!(confirmed["user_id"], message["user_id"]);
}

#[test]
fn a_message_is_retried_until_the_webhook_is_up_again() {
    let webhook = Webhook::start();
    webhook.hang_up();
    webhook.answer(503);
    let server = by_webhook(&webhook)
        .env("USER_AUTH_WEBHOOK_SECRET", SECRET)
        .start();
    ask_for_code(&server, "alice", "alice@example.com");
    let tries: Vec<Delivered> = (0..3).map(|_| webhook.receive()).collect();
    for one in &tries {
        assert_eq!(one.body, tries[0].body);
        assert_eq!(one.header("webhook-id"), tries[0].header("webhook-id"));
    }
    ask_for_code(&server, "bob", "bob@example.com");
    let other = webhook.receive();
    assert_ne!(other.header("webhook-id"), tries[0].header("webhook-id"));
    let (status, log) = server.stop();
    assert!(status.success());
    assert!(!log.contains("given up"), "{log}");
    assert!(webhook.is_empty(), "a delivered message is not sent again");
}

#[test]
fn undeliverable_messages_do_not_delay_others() {
    let webhook = Webhook::start();
    let server = by_webhook(&webhook).start();
    let verify = |username: &str, email: &str| {
        ask_for_code(&server, username, email);
        let code = webhook.code("email-verification");
        confirm(&server, username, &json!(code));
    };
    // More messages than are tried at one time.
    let undeliverable: Vec<String> = (0..5).map(|number| format!("eve{number}")).collect();
    for username in &undeliverable {
        verify(username, &format!("{username}@down.example"));
    }
    verify("alice", "alice@example.com");

    webhook.refuse("down.example");
    let reset = |username: &str| {
        let input = json!({"username": username});
        server.call("request_password_reset", input).unwrap();
    };
    for username in &undeliverable {
        reset(username);
    }
    let mut tried = BTreeSet::new();
    while tried.len() < undeliverable.len() {
        let message = webhook.receive().json();
        tried.insert(message["to"].as_str().unwrap().to_owned());
    }
    reset("alice");
    let code = loop {
        let mut message = webhook.receive().json();
        if message["to"] == "alice@example.com" {
            break message["code"].take();
        }
    };
    let input = json!({"code": code, "new_password": NEW_PASSWORD});
    server.call("confirm_password_reset", input).unwrap();
}

#[test]
fn a_permanently_refused_message_is_dropped_and_not_logged() {
    let webhook = Webhook::start();
    webhook.answer(400);
    let server = by_webhook(&webhook).env("LOG_LEVEL", "DEBUG").start();
    ask_for_code(&server, "alice", "alice@example.com");
    let code = webhook.code("email-verification");
    ask_for_code(&server, "bob", "bob@example.com");
    webhook.code("email-verification");
    // The server ends when all messages are delivered or given up.
    let (_, log) = server.stop();
    assert!(webhook.is_empty(), "it was tried once");
    assert!(log.contains("the webhook responded with 400"), "{log}");
    for secret in [code.as_str(), "/hook", "alice@example.com"] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[test]
fn queued_messages_are_delivered_before_the_shutdown() {
    let webhook = Webhook::start();
    webhook.hang_up();
    let server = by_webhook(&webhook).start();
    ask_for_code(&server, "alice", "alice@example.com");
    server.stop();
    let first = webhook.receive();
    assert_eq!(webhook.receive().body, first.body);

    // The shutdown does not wait for ever for messages.
    let webhook = Webhook::start();
    webhook.stall();
    let server = by_webhook(&webhook).start();
    ask_for_code(&server, "alice", "alice@example.com");
    let (status, log) = server.stop();
    assert!(status.success());
    assert!(
        log.contains("messages to account owners were lost"),
        "{log}"
    );
}

#[test]
fn a_call_from_the_shell_delivers_before_it_exits() {
    let home = folder();
    let webhook = Webhook::start();
    let server = by_webhook(&webhook).home(home.path()).start();
    ask_for_code(&server, "alice", "alice@example.com");
    let code = webhook.code("email-verification");
    confirm(&server, "alice", &json!(code));
    webhook.hang_up();
    let output = command(home.path())
        .args(["call", "force_password_reset", "username=alice"])
        .env("USER_AUTH_DELIVERY", &webhook.url)
        .output()
        .unwrap();
    let forced: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(forced["delivered"], true);
    webhook.code("password-reset");
    let code = webhook.code("password-reset");
    let input = json!({"code": code, "new_password": NEW_PASSWORD});
    server.call("confirm_password_reset", input).unwrap();
}

fn by_smtp(smtp: &Smtp) -> Options {
    Options::new()
        .arg("--delivery")
        .arg(&format!("smtp://user%40example.com@{}", smtp.address))
        .arg("--mail-from")
        .arg("Accounts <accounts@example.com>")
        .env("USER_AUTH_SMTP_PASSWORD", "the password of the server")
}

fn code_in(mail: &Mail) -> String {
    let lines = mail.data.lines();
    let mut codes = lines.filter_map(|line| line.trim().strip_prefix("uac_"));
    format!(
        "uac_{}",
        codes
            .next()
            .expect("the mail has a code on a line of its own")
    )
}

#[test]
fn mail_is_sent_by_smtp_as_in_rfc_5321() {
    // The server refuses the first mail temporarily.
    let smtp = Smtp::start(1);
    let server = by_smtp(&smtp).start();
    ask_for_code(&server, "alice", "alice@example.com");
    let mail = smtp.receive();
    assert_eq!(mail.offences, Vec::<String>::new());
    assert_eq!(mail.from, "accounts@example.com");
    assert_eq!(mail.to, ["alice@example.com"]);
    let plain = STANDARD.encode("\0user@example.com\0the password of the server");
    assert_eq!(mail.auth, Some(plain));
    let (header, body) = mail.data.split_once("\r\n\r\n").unwrap();
    for field in [
        "From: Accounts <accounts@example.com>",
        "To: alice@example.com",
        "Subject: Verify your email address",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(header.lines().any(|line| line == field), "{header}");
    }
    for field in ["Date: ", "Message-ID: <"] {
        assert!(
            header.lines().any(|line| line.starts_with(field)),
            "{header}"
        );
    }
    // The requester of a mail chooses no word of its text.
    assert!(!body.contains("alice"), "{body}");
    confirm(&server, "alice", &json!(code_in(&mail)));
}

#[test]
fn registered_values_cannot_change_an_envelope_or_a_header() {
    let smtp = Smtp::start(0);
    let server = by_smtp(&smtp).start();
    for email in [
        "eve@example.com\r\nBcc: victim",
        "eve\nBcc: victim@example.com",
        "eve@example.com\0",
        "eve victim@example.com",
        "eve@example.com,victim@example.com",
        "e>RCPT@example.com",
        "\"e@example.com",
        "e@exa>mple.com",
        // Sending to this address would need a server with SMTPUTF8.
        "\u{e8}ve@example.com",
    ] {
        let account = json!({"username": "eve", "password": PASSWORD, "email": email});
        let error = server.call("register", account).unwrap_err();
        assert_eq!(error["code"], -32000, "{email}");
    }
    ask_for_code(&server, "alice", "alice@example.com");
    let mail = smtp.receive();
    assert_eq!(mail.to, ["alice@example.com"]);
    assert_eq!(mail.offences, Vec::<String>::new());
}

/// Uses a server that does not offer SMTPUTF8 (RFC 6531), as most do not.
#[test]
fn an_internationalised_domain_receives_mail_under_each_spelling() {
    const FORM: &str = "Info@xn--mller-kva.example";
    let smtp = Smtp::start(0);
    let server = by_smtp(&smtp).start();
    let sent = ask_for_code(&server, "alice", "Info@m\u{fc}ller.example");
    assert_eq!(sent["email"], FORM);
    let mail = smtp.receive();
    assert_eq!(mail.to, [FORM]);
    assert_eq!(mail.offences, Vec::<String>::new());
    assert!(
        mail.data.contains(&format!("To: {FORM}\r\n")),
        "{}",
        mail.data
    );
    let confirmed = confirm(&server, "alice", &json!(code_in(&mail)));
    assert_eq!(confirmed["email"], FORM);
    // All spellings are one address: a request with any of them sends a code to the owner.
    for spelling in ["info@m\u{fc}ller.example", "INFO@XN--MLLER-KVA.EXAMPLE"] {
        let input = json!({"email": spelling});
        server.call("request_password_reset", input).unwrap();
        let mut mail = smtp.receive();
        while !mail.data.contains("Subject: Reset your password") {
            mail = smtp.receive();
        }
        assert_eq!(mail.to, [FORM], "{spelling}");
    }

    let webhook = Webhook::start();
    let server = by_webhook(&webhook).start();
    ask_for_code(&server, "bob", "bob@M\u{dc}LLER.example");
    assert_eq!(webhook.receive().json()["to"], "bob@xn--mller-kva.example");
}

#[test]
fn on_a_loopback_address_codes_are_logged_and_a_warning_says_so() {
    let home = folder();
    let server = Options::new().home(home.path()).start();
    ask_for_code(&server, "alice", "alice@example.com");
    let (_, log) = server.stop();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let message = lines.iter().find(|line| line["to"] == "alice@example.com");
    let code = &message.expect("the message is in the log")["code"];
    let server = Options::new().home(home.path()).start();
    confirm(&server, "alice", code);

    // This start fails afterwards, so the process ends.
    let start = |listen: &str| {
        let store = format!("sqlite:{}/absent/a.db", home.path().display());
        let mut command = command(home.path());
        command.args(["serve", "--listen", listen, "--store", &store]);
        command.env("USER_AUTH_SECURITY_AUTHENTICATION_TYPE", "api_key");
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(start("127.0.0.1:0").contains("codes for password resets go to this log"));
    let reachable = start("0.0.0.0:0");
    assert!(reachable.contains("users cannot verify an address"));
    assert!(!reachable.contains("go to this log"));
}

#[test]
fn without_a_delivery_only_logged_in_owners_get_an_error() {
    let server = Options::new().arg("--delivery").arg("none").start();
    let account = json!({"username": "alice", "password": PASSWORD, "email": "a@example.com"});
    server.call("register", account).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let tokens = server.call("login", credentials).unwrap();
    let own = json!({"access_token": tokens["access_token"]});
    let error = server.call("request_email_verification", own).unwrap_err();
    assert_eq!(error["code"], -32004);
    let ask = |name: &str| server.call("request_password_reset", json!({"username": name}));
    assert_eq!(ask("alice"), ask("unknown"));
    assert!(ask("alice").is_ok());
}

/// Embeds the component in this process, where the queue can be made short.
#[test]
fn a_full_queue_refuses_further_messages() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let webhook = Webhook::start();
    webhook.stall();
    let delivery = WebhookDelivery::new(&webhook.url.parse().unwrap(), None).unwrap();
    let plugin = Plugin::builder()
        .component(built("user-auth.wasm"))
        .cache(built("user-auth").with_file_name("test-cache/user-auth"))
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().unwrap())
        .delivery(Arc::new(delivery))
        .limits(Limits {
            delivery_queue: 1,
            ..Limits::default()
        })
        .build()
        .unwrap();
    let call = |operation: &str, input: Value| -> Result<Value, i32> {
        let caller = Caller {
            principal: Principal::Anonymous,
            source: Some("192.0.2.1".into()),
        };
        let answer = runtime.block_on(plugin.invoke(caller, operation, &input.to_string()));
        match answer.unwrap() {
            Ok(output) => Ok(serde_json::from_str(&output).unwrap()),
            Err(error) => Err(error.code),
        }
    };
    let ask = |username: &str| {
        let email = format!("{username}@example.com");
        let account = json!({"username": username, "password": PASSWORD, "email": email});
        call("register", account).unwrap();
        let credentials = json!({"username": username, "password": PASSWORD});
        let tokens = call("login", credentials).unwrap();
        let own = json!({"access_token": tokens["access_token"]});
        call("request_email_verification", own)
    };
    ask("alice").unwrap();
    webhook.receive();
    assert_eq!(ask("bob"), Err(-32004));
}
