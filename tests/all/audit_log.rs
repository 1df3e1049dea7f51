//! The audit log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use user_auth_tests::{
    Options, PASSWORD, Server, Stdio, Webhook, command, folder, step, totp_code,
};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")));
    lines.collect()
}

fn of<'a>(lines: &'a [Value], operation: &str) -> Vec<&'a Value> {
    let lines = lines.iter();
    lines
        .filter(|line| line["operation"] == operation)
        .collect()
}

fn with_log(path: &Path) -> Options {
    Options::new()
        .arg("--audit-log")
        .arg(&path.display().to_string())
}

/// Collects all secrets in an answer.
fn secrets_in(answer: &Value, found: &mut Vec<String>) {
    const NAMES: [&str; 8] = [
        "access_token",
        "refresh_token",
        "challenge",
        "api_key",
        "secret",
        "otpauth_uri",
        "recovery_codes",
        "code",
    ];
    for (name, value) in answer.as_object().into_iter().flatten() {
        let values = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        let texts = values.iter().filter_map(Value::as_str);
        if NAMES.contains(&name.as_str()) {
            found.extend(texts.map(str::to_owned));
        }
    }
}

/// Goes through a user's life with every kind of secret, and returns all of these.
fn live(server: &Server, webhook: &Webhook) -> Vec<String> {
    let mut secrets = vec![PASSWORD.to_owned()];
    let mut run = |operation: &str, input: Value| {
        let answer = server.call(operation, input).unwrap();
        secrets_in(&answer, &mut secrets);
        answer
    };
    let credentials = json!({"username": "alice", "password": PASSWORD});
    run("register", credentials.clone());
    let tokens = run("login", credentials.clone());
    let token = &tokens["access_token"];
    run("verify_token", json!({"token": token}));
    run("get_session", json!({"access_token": token}));
    let own = json!({"access_token": token});
    run("list_sessions", own.clone());
    let change = json!({"access_token": token, "email": "alice@example.com"});
    run("request_email_change", change);
    let code = webhook.code("email-change");
    run(
        "confirm_email",
        json!({"access_token": token, "code": code}),
    );
    run("request_password_reset", json!({"username": "alice"}));
    let reset = webhook.code("password-reset");
    let input = json!({"access_token": token, "name": "ci"});
    let key = run("create_api_key", input);
    run(
        "rotate_api_key",
        json!({"access_token": token, "key_id": key["key_id"]}),
    );
    let enrolment = run("enroll_totp", own.clone());
    let shown = totp_code(enrolment["secret"].as_str().unwrap(), step());
    let confirm = json!({"access_token": token, "code": shown});
    let confirmed = run("confirm_totp", confirm);
    let asked = run("login", credentials.clone());
    let recovery = &confirmed["recovery_codes"][0];
    let input = json!({"challenge": asked["challenge"], "code": recovery});
    let again = run("complete_login", input);
    run(
        "refresh_token",
        json!({"refresh_token": again["refresh_token"]}),
    );
    run("revoke_token", json!({"token": again["access_token"]}));
    let new = "another staple of a correct horse";
    let input = json!({"code": reset, "new_password": new});
    run("confirm_password_reset", input);
    secrets.extend([code, reset, shown, new.to_owned()]);
    secrets
}

#[test]
fn every_operation_is_logged_without_secrets() {
    let home = folder();
    let path = home.path().join("audit.jsonl");
    let webhook = Webhook::start();
    let server = with_log(&path)
        .env("USER_AUTH_DELIVERY", &webhook.url)
        .start();
    let secrets = live(&server, &webhook);

    // Calls each operation with each secret in every field that it has and in some that it
    // does not have, and through the operation that runs all others.
    let tools = Stdio::start(&["--store", "memory"]).tools();
    let before = lines(&path).len();
    let mut calls = 0;
    for (number, tool) in tools.iter().enumerate() {
        let name = tool["name"].as_str().unwrap();
        let name = name.strip_prefix("user-auth_").unwrap();
        if name == "get_capabilities" {
            continue;
        }
        let secret = &secrets[number % secrets.len()];
        let mut everywhere = json!({"unknown": secret, secret: {"nested": [secret]}});
        let mut declared = json!({});
        for field in tool["inputSchema"]["properties"]
            .as_object()
            .unwrap()
            .keys()
        {
            everywhere[field] = json!(secret);
            declared[field] = json!(secret);
        }
        for input in [everywhere, declared] {
            let _ = server.call(name, input.clone());
            let data = json!({"operation": name, secret: input});
            let _ = server.call("execute_primary_operation", json!({"data": data}));
            calls += 2;
        }
    }
    let bearer = format!("Bearer {}", secrets[1]);
    let tool = |name: &str| {
        let params = json!({"name": name, "arguments": {}});
        json!({"jsonrpc": "2.0", "id": secrets[2], "method": "tools/call", "params": params})
    };
    let list = tool("user-auth_list_users").to_string();
    server.post(&[("authorization", &bearer)], &list);
    server.post(&[("x-api-key", &secrets[3])], &list);
    server.post(&[], tool(&secrets[0]).to_string());
    let (status, log) = server.stop();
    assert!(status.success(), "{status}");

    let all = lines(&path);
    let told: BTreeSet<&str> = all
        .iter()
        .map(|line| line["operation"].as_str().unwrap())
        .collect();
    let names = tools.iter().map(|tool| tool["name"].as_str().unwrap());
    let names = names.map(|name| name.strip_prefix("user-auth_").unwrap());
    assert_eq!(told, names.collect(), "all of them, and nothing else");
    assert!(
        all.len() >= before + calls,
        "{} of {calls}",
        all.len() - before
    );
    let text = fs::read_to_string(&path).unwrap();
    for secret in &secrets {
        assert!(
            !text.contains(secret.as_str()),
            "in the audit log: {secret}"
        );
        assert!(!log.contains(secret.as_str()), "in the log: {secret}");
    }
    for line in &all {
        assert_eq!(
            line["source"],
            if line["actor"] == "operator" {
                "local"
            } else {
                "127.0.0.1"
            }
        );
        assert_eq!(
            line["time"].as_str().unwrap().len(),
            "2026-11-22T19:13:18.191Z".len()
        );
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert!(line["duration_us"].is_u64());
    }
    let logins = of(&all, "login");
    assert_eq!(logins[0]["outcome"], "success");
    assert_eq!(
        logins[0]["input"],
        json!({"username": "alice", "password": "[secret]"})
    );
    assert!(logins[0]["account"].is_string());
    let sessions = of(&all, "list_sessions");
    assert_eq!(sessions[0]["actor"], logins[0]["account"]);
    assert_eq!(sessions[0]["credential"], "access_token");
    let refused = of(&all, "list_users");
    let by_key = refused.iter().find(|line| line["credential"] == "api_key");
    let by_key = by_key.expect("the refusal of a key is logged");
    assert_eq!(
        (&by_key["code"], &by_key["outcome"]),
        (&json!(-32001), &json!("authentication"))
    );
}

#[test]
fn a_moved_file_is_replaced_by_a_new_one_on_sighup_without_a_restart() {
    let home = folder();
    let (path, old) = (home.path().join("audit"), home.path().join("audit.1"));
    let server = with_log(&path).start();
    server.new_session("alice");
    fs::rename(&path, &old).unwrap();
    let hangup = std::process::Command::new("kill")
        .args(["-HUP", &server.pid().to_string()])
        .status();
    assert!(hangup.unwrap().success());
    let credentials = json!({"username": "alice", "password": PASSWORD});
    server.call("login", credentials).unwrap();
    assert_eq!(of(&lines(&old), "login").len(), 1);
    assert_eq!(of(&lines(&path), "login").len(), 1);
    let (status, _) = server.stop();
    assert!(status.success(), "{status}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_is_reported_once_and_stops_nothing() {
    let home = folder();
    let path = home.path().join("audit");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let server = with_log(&path).start();
    server.new_session("alice");
    fs::remove_file(&path).unwrap();
    let credentials = json!({"username": "alice", "password": PASSWORD});
    server.call("login", credentials).unwrap();
    let written = lines(&path);
    // The three calls are get_capabilities (the smoke test at the start), register and
    // login.
    assert_eq!(written[0]["lost_before"], 3);
    assert_eq!(written.len(), 1);
    let (_, log) = server.stop();
    assert!(log.contains("the audit log can be written again"), "{log}");

    let missing = home.path().join("nowhere/audit");
    let output = command(home.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--store", "memory"])
        .env("USER_AUTH_AUDIT_FILE", &missing)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nowhere/audit cannot be used"), "{said}");
}

#[test]
fn calls_on_the_command_line_and_over_stdio_are_logged_too() {
    let home = folder();
    let path = home.path().join("audit");
    let output = command(home.path())
        .args(["call", "list_users", "search=al"])
        .env("USER_AUTH_AUDIT_FILE", &path)
        .output()
        .unwrap();
    assert!(output.status.success());
    let line = &lines(&path)[0];
    assert_eq!(
        (&line["operation"], &line["actor"], &line["source"]),
        (&json!("list_users"), &json!("operator"), &json!("local"))
    );
    assert_eq!(line["input"], json!({"search": "al"}));

    // The lines on standard error have the same order as those in the file.
    let output = command(home.path())
        .args(["call", "login", "username=unknown-user", "password=x"])
        .args(["--audit-log", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["operation"], &line["code"]),
        (&json!("login"), &json!(-32001))
    );

    let file = path.display().to_string();
    let mut client = user_auth_tests::Stdio::start(&["--audit-log", &file, "--store", "memory"]);
    client.call("list_roles", json!({}));
    client.finish();
    assert_eq!(of(&lines(&path), "list_roles").len(), 1);
}
