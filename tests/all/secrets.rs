//! No secret leaves through a side channel.

use serde_json::json;
use user_auth_tests::{Options, PASSWORD, Webhook, folder, step, totp_code};

#[test]
fn no_secret_appears_in_log_metrics_or_store() {
    let home = folder();
    let webhook = Webhook::start();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_DELIVERY", &webhook.url)
        .env("LOG_LEVEL", "DEBUG")
        .start();
    let tokens = server.new_session("alice");
    let wrong = json!({"username": "alice", "password": "this is the wrong one"});
    server.call("login", wrong).unwrap_err();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    server.post(
        &[("authorization", &bearer), ("x-api-key", "a key of mine")],
        body,
    );
    let renewed = json!({"refresh_token": tokens["refresh_token"]});
    let renewed = server.call("refresh_token", renewed).unwrap();
    let own = json!({"access_token": renewed["access_token"]});
    let enrolment = server.call("enroll_totp", own).unwrap();
    let code = totp_code(enrolment["secret"].as_str().unwrap(), step());
    let confirm = json!({"access_token": renewed["access_token"], "code": code});
    let confirmed = server.call("confirm_totp", confirm).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let asked = server.call("login", credentials).unwrap();
    let code = &confirmed["recovery_codes"][0];
    let input = json!({"challenge": asked["challenge"], "code": code});
    server.call("complete_login", input).unwrap();
    let change = json!({
        "access_token": renewed["access_token"],
        "email": "alice@example.com",
    });
    server.call("request_email_change", change).unwrap();
    let code = webhook.code("email-change");
    let metrics = server.resource("mcp://user-auth/metrics").to_string();
    let (_, log) = server.stop();
    assert!(
        log.contains("refresh_token"),
        "the log has lines about operations: {log}"
    );

    let mut stored = Vec::new();
    for file in walk(home.path()) {
        stored.extend(std::fs::read(file).unwrap());
    }
    assert!(contains(&stored, b"alice"), "the store has been read");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    for secret in [
        PASSWORD.to_owned(),
        "this is the wrong one".to_owned(),
        "a key of mine".to_owned(),
        text(&tokens["access_token"]),
        text(&tokens["refresh_token"]),
        text(&renewed["access_token"]),
        text(&renewed["refresh_token"]),
        text(&enrolment["secret"]),
        text(&asked["challenge"]),
        text(&confirmed["recovery_codes"][0]),
        text(&confirmed["recovery_codes"][1]),
        text(&confirmed["recovery_codes"][1]).replace('-', ""),
        code["uac_".len()..].to_owned(),
        webhook.url.clone(),
    ] {
        assert!(!log.contains(&secret), "in the log: {secret}");
        assert!(!metrics.contains(&secret), "in the metrics: {secret}");
        assert!(
            !contains(&stored, secret.as_bytes()),
            "in the store: {secret}"
        );
    }
}

pub fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    for folder in folders {
        files.extend(walk(&folder));
    }
    files
}

pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
