//! The rate limit of verifications, which services make for the credentials that they
//! receive.

use serde_json::{Value, json};
use user_auth_tests::{Answer, PASSWORD};

use super::rates::assert_limited;
use super::{Guarded, burst, keys_only, secret};

/// Starts a server with these bursts of calls and of verifications.
fn start(calls: u32, verifications: u32) -> Guarded {
    let mut security = keys_only();
    security["rate_limiting"] = burst(calls);
    security["rate_limiting"]["verification"] = burst(verifications);
    Guarded::start(security)
}

fn message(tool: &str, arguments: &Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
}

fn call(guarded: &Guarded, key: &str, operation: &str, arguments: &Value) -> Answer {
    let message = message(&format!("user-auth_{operation}"), arguments);
    let headers = [("x-api-key", key)];
    guarded.server.post(&headers, message.to_string())
}

fn verify(guarded: &Guarded, key: &str) -> Answer {
    call(guarded, key, "verify_token", &json!({"token": "x"}))
}

fn log_in(guarded: &Guarded, key: &str) -> Answer {
    let credentials = json!({"username": "nobody", "password": PASSWORD});
    call(guarded, key, "login", &credentials)
}

/// Returns a key that the server knows: its first request counted for the source.
fn known_key(guarded: &Guarded, name: &str) -> String {
    let key = guarded.program(name, &[]);
    let key = secret(&key).to_owned();
    assert_eq!(guarded.ping(&[("x-api-key", &key)]).status, 200);
    key
}

#[test]
fn the_default_rates_serve_a_service_that_verifies_every_request() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(3);
    let guarded = Guarded::start(security);
    let key = known_key(&guarded, "service");
    for _ in 0..100 {
        let answer = verify(&guarded, &key);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    for _ in 0..3 {
        assert_eq!(log_in(&guarded, &key).status, 200);
    }
    assert_limited(&log_in(&guarded, &key), json!(7));
}

#[test]
fn exhausted_logins_leave_verifications_available_and_vice_versa() {
    let guarded = start(3, 6);
    let token = json!({"token": "x"});
    let permission = json!({"permission": "billing:read"});
    let run = |operation: &str, mut data: Value| {
        data["operation"] = operation.into();
        ("execute_primary_operation", json!({"data": data}))
    };
    let verifications = [
        ("verify_token", token.clone()),
        ("introspect_token", token.clone()),
        ("check_permission", permission.clone()),
        run("verify_token", token.clone()),
        run("introspect_token", token),
        run("check_permission", permission),
    ];
    let log_in_until_limited = |key: &str| {
        for _ in 0..3 {
            assert_eq!(log_in(&guarded, key).status, 200);
        }
        assert_limited(&log_in(&guarded, key), json!(7));
    };
    let verify_until_limited = |key: &str| {
        for (operation, arguments) in &verifications {
            let answer = call(&guarded, key, operation, arguments);
            assert_eq!(answer.status, 200, "{operation}: {}", answer.text);
        }
        for (operation, arguments) in &verifications {
            assert_limited(&call(&guarded, key, operation, arguments), json!(7));
        }
    };
    let (first, second) = (known_key(&guarded, "a"), known_key(&guarded, "b"));
    log_in_until_limited(&first);
    verify_until_limited(&first);
    verify_until_limited(&second);
    log_in_until_limited(&second);
}

#[test]
fn verifications_without_a_valid_key_count_as_ordinary_requests() {
    let guarded = start(5, 1000);
    let good = known_key(&guarded, "service");
    for number in 0..3 {
        let answer = verify(&guarded, &format!("uak_{number}"));
        assert_eq!(answer.status, 401, "{}", answer.text);
    }
    // Refusals for another reason do not make a key valid either.
    let basic = [("x-api-key", "uak_3"), ("authorization", "Basic YTpi")];
    assert_eq!(guarded.ping(&basic).status, 401);
    assert_limited(&guarded.ping(&basic), json!(7));
    for number in 3..20 {
        assert_limited(&verify(&guarded, &format!("uak_{number}")), json!(7));
    }
    assert_eq!(verify(&guarded, &good).status, 200);

    // If no key is required, none counts as valid.
    let rates = json!({"requests_per_minute": 1, "burst_size": 2, "verification": burst(1000)});
    let guarded = Guarded::start(json!({"rate_limiting": rates}));
    for _ in 0..2 {
        assert_eq!(verify(&guarded, "").status, 200);
    }
    assert_limited(&verify(&guarded, ""), json!(7));
    assert_limited(&verify(&guarded, &good), json!(7));
}

#[test]
fn ambiguous_verifications_count_as_ordinary_requests() {
    let verify = message("user-auth_verify_token", &json!({"token": "x"}));
    let any = "user-auth_execute_primary_operation";
    let login = json!({"operation": "login", "username": "a", "password": "b"});
    let twice = |text: &str, more: &str| {
        let text = verify.to_string().replace(text, &format!("{text},{more}"));
        assert_ne!(text, verify.to_string());
        text
    };
    let bodies = [
        message("user-auth_verify_tokens", &json!({})).to_string(),
        message("user-auth_made_up", &json!({"operation": "verify_token"})).to_string(),
        message("verify_token", &json!({"token": "x"})).to_string(),
        message(any, &json!({"operation": "verify_token", "data": login})).to_string(),
        message(any, &json!({"data": login})).to_string(),
        json!([verify]).to_string(),
        json!({"jsonrpc": "2.0", "id": 7, "method": "user-auth_verify_token"}).to_string(),
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": verify["params"]})
            .to_string(),
        twice(
            r#""name":"user-auth_verify_token""#,
            r#""name":"user-auth_login""#,
        ),
        twice(r#""method":"tools/call""#, r#""method":"tools/list""#),
        format!("{verify}{verify}"),
    ];
    let guarded = start(bodies.len().try_into().unwrap(), 1);
    let key = known_key(&guarded, "service");
    let headers = [("x-api-key", &*key)];
    for body in &bodies {
        let answer = guarded.server.post(&headers, body);
        assert_ne!(answer.status, 429, "{body}");
    }
    assert_limited(&guarded.ping(&headers), json!(7));
    let verify = || guarded.server.post(&headers, verify.to_string());
    assert_eq!(verify().status, 200);
    assert_limited(&verify(), json!(7));
}

#[test]
fn verify_requests_count_only_for_valid_keys() {
    let guarded = start(3, 2);
    let key = &*known_key(&guarded, "robot");
    let unknown = guarded.program("other", &[]);
    let ask = |headers: &[(&str, &str)]| guarded.server.get("/verify", headers);
    let bearer = format!("Bearer {key}");
    assert_eq!(ask(&[("x-api-key", key)]).status, 200);
    assert_eq!(ask(&[("authorization", &bearer)]).status, 200);
    assert_limited(&ask(&[("x-api-key", key)]), Value::Null);
    assert_limited(&verify(&guarded, key), json!(7));
    for _ in 0..3 {
        assert_eq!(log_in(&guarded, key).status, 200);
    }
    assert_limited(&log_in(&guarded, key), json!(7));
    for number in 0..10 {
        let made_up = format!("uak_{number}");
        assert_eq!(ask(&[("x-api-key", &made_up)]).status, 401);
        assert_eq!(ask(&[]).status, 401);
        assert_eq!(ask(&[("x-api-key", secret(&unknown))]).status, 200);
    }
    // None of this counted for the source or made a key known.
    for _ in 0..2 {
        assert_eq!(guarded.ping(&[("x-api-key", "uak_1")]).status, 401);
    }
    assert_limited(&guarded.ping(&[("x-api-key", "uak_1")]), json!(7));
}
