//! `/introspect` and `/revoke`, for libraries of OAuth.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use user_auth_tests::{Answer, Options, PASSWORD, Server};

use super::{Guarded, burst, keys_only, plugin, secret, serve};
use crate::attacks::failures::Fragile;

const FORM: &str = "application/x-www-form-urlencoded";
const INTROSPECT: &str = "user-auth:tokens:introspect";

fn form(server: &Server, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let media_type = [("content-type", FORM)];
    let headers = [&media_type, headers].concat();
    server.post_to(path, &headers, form)
}

fn introspect(server: &Server, headers: &[(&str, &str)], token: &str) -> Answer {
    let token = format!("token={token}&token_type_hint=access_token");
    form(server, "/introspect", headers, &token)
}

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("service:{key}")))
}

/// Registers a user and returns an access token of a session.
fn token(guarded: &Guarded, username: &str) -> String {
    let account = json!({"username": username, "password": PASSWORD});
    guarded.operate("register", account.clone());
    let tokens = guarded.operate("login", account);
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// Returns the token with another signature. Only its first character is sure to count:
/// the last one has bits that stand for nothing.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}

fn assert_oauth_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["error"], code, "{body}");
    assert!(body["error_description"].is_string(), "{body}");
}

#[test]
fn a_service_introspects_by_each_way_to_show_its_key() {
    let guarded = Guarded::start(json!({}));
    let token = token(&guarded, "alice");
    let key = guarded.program("service", &[INTROSPECT]);
    let key = secret(&key);
    for credential in [
        ("x-api-key", key.to_owned()),
        ("authorization", format!("Bearer {key}")),
        ("authorization", basic(key)),
    ] {
        let credential = [(credential.0, credential.1.as_str())];
        let answer = introspect(&guarded.server, &credential, &token);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["active"], true);
        assert_eq!(answer.json()["username"], "alice");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let unknown = introspect(&guarded.server, &credential, "a.b.c");
        assert_eq!(unknown.json(), json!({"active": false}));
    }
}

#[test]
fn a_token_is_revoked_by_its_form() {
    let guarded = Guarded::start(json!({}));
    let token = token(&guarded, "alice");
    let body = format!("token_type_hint=refresh_token&token={token}");
    for _ in 0..2 {
        let answer = form(&guarded.server, "/revoke", &[], &body);
        assert_eq!((answer.status, answer.json()), (200, json!({})));
    }
    let verified = guarded.operate("verify_token", json!({"token": token}));
    assert_eq!(verified, json!({"active": false}));
}

#[test]
fn attack_52_only_a_permitted_service_introspects_and_learns_nothing_else() {
    let guarded = Guarded::start(json!({}));
    let server = &guarded.server;
    let token = token(&guarded, "alice");
    // A public client, an unknown key, and a user: no answer about the token.
    let user = format!("Bearer {token}");
    let unknown = basic("uak_unknown");
    for headers in [&[][..], &[("authorization", &*unknown)]] {
        let answer = introspect(server, headers, &token);
        assert_oauth_error(&answer, 401, "invalid_client");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.ends_with("Basic realm=\"user-auth\""),
            "{challenge}"
        );
    }
    let by_user = introspect(server, &[("authorization", &user)], &token);
    assert_oauth_error(&by_user, 403, "access_denied");
    // Another service without the permission.
    let other = basic(secret(&guarded.program("other", &[])));
    let refused = introspect(server, &[("authorization", &other)], &token);
    assert_oauth_error(&refused, 403, "access_denied");
    // The token of another audience, a forged and an unknown one: the same answer.
    let service = basic(secret(&guarded.program("service", &[INTROSPECT])));
    let service = [("authorization", &*service)];
    let forged = forged(&token);
    for body in [
        format!("token={token}&audience=billing"),
        format!("token={forged}"),
        "token=unknown".to_owned(),
        format!("token={}", "x".repeat(5_000)),
    ] {
        let answer = form(server, "/introspect", &service, &body);
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"active": false}))
        );
    }
}

#[test]
fn attack_53_revocation_does_not_tell_what_a_token_was() {
    let guarded = Guarded::start(json!({}));
    let server = &guarded.server;
    let token = token(&guarded, "alice");
    let key = guarded.program("service", &[]);
    let answers = [
        form(server, "/revoke", &[], "token=a.b.c"),
        form(server, "/revoke", &[], "token=uak_unknown"),
        form(server, "/revoke", &[], &format!("token={}", forged(&token))),
        form(server, "/revoke", &[], &format!("token={token}")),
        form(server, "/revoke", &[], &format!("token={}", secret(&key))),
        form(server, "/revoke", &[], &format!("token={}", secret(&key))),
    ];
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
    // A wrong signature has no effect: only who has the token can end it.
    let other = self::token(&guarded, "bob");
    let (body, _) = other.rsplit_once('.').unwrap();
    form(server, "/revoke", &[], &format!("token={body}.AAAA"));
    let verified = guarded.operate("verify_token", json!({"token": other}));
    assert_eq!(verified["active"], true);
}

#[test]
fn attack_54_forms_that_could_be_read_in_two_ways_are_rejected() {
    let guarded = Guarded::start(json!({}));
    let server = &guarded.server;
    let service = basic(secret(&guarded.program("service", &[INTROSPECT])));
    let service = [("authorization", &*service)];
    for body in [
        "",
        "token=",
        "token=a&token=b",
        "token=a&%74oken=b",
        "token=a&resource=b",
        "token=a&token_type_hint=b&token_type_hint=c",
        "token=%ff",
        "token=a&",
    ] {
        for path in ["/introspect", "/revoke"] {
            let answer = form(server, path, &service, body);
            assert_oauth_error(&answer, 400, "invalid_request");
        }
    }
    let json = [("content-type", "application/json"), service[0]];
    let answer = server.post_to("/introspect", &json, "{}");
    assert_oauth_error(&answer, 415, "invalid_request");
    let query = form(server, "/introspect?audience=billing", &service, "token=a");
    assert_oauth_error(&query, 400, "invalid_request");
    let by_get = server.get("/introspect?token=a", &service);
    assert_oauth_error(&by_get, 405, "invalid_request");
    // What is reflected is text of JSON, not of a page.
    let markup = form(
        server,
        "/revoke",
        &service,
        "token=a&%3Cscript%3E=%0d%0aSet-Cookie:a",
    );
    assert_oauth_error(&markup, 400, "invalid_request");
    assert_eq!(markup.header("content-type"), Some("application/json"));
    assert_eq!(markup.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(markup.header("set-cookie"), None);
}

#[test]
fn a_key_by_basic_has_the_rate_of_verifications() {
    let mut security = keys_only();
    security["rate_limiting"] = burst(2);
    security["rate_limiting"]["verification"] = burst(6);
    let guarded = Guarded::start(security);
    let server = &guarded.server;
    let key = guarded.program("service", &[INTROSPECT]);
    let service = basic(secret(&key));
    let service = [("authorization", &*service)];
    // The first request counts for the source, the next six for the key.
    for _ in 0..7 {
        assert_eq!(introspect(server, &service, "a").status, 200);
    }
    let limited = introspect(server, &service, "a");
    assert_oauth_error(&limited, 429, "temporarily_unavailable");
    assert!(limited.header("retry-after").is_some());
    // The same key written otherwise is not another caller.
    let encoded = secret(&key).replacen("uak_", "uak%5F", 1);
    let encoded = basic(&encoded);
    let encoded = [("authorization", &*encoded)];
    let limited = introspect(server, &encoded, "a");
    assert_oauth_error(&limited, 429, "temporarily_unavailable");
}

#[test]
fn a_form_is_read_to_its_end_however_the_key_by_basic_is_written() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("service", &[INTROSPECT]);
    let encoded = basic(&secret(&key).replacen("uak_", "uak%5F", 1));
    // Longer than what is kept of a request without a key.
    let form = format!("token=a&token_type_hint={}", "x".repeat(5_000));
    let service = [("authorization", &*encoded)];
    let answer = self::form(&guarded.server, "/introspect", &service, &form);
    let inactive = json!({"active": false});
    assert_eq!((answer.status, answer.json()), (200, inactive));
}

#[test]
fn pages_and_hosts_that_may_not_call_get_an_error_of_oauth() {
    let server = Options::new().start();
    for (header, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let answer = form(&server, "/introspect", &[(header, value)], "token=a");
        assert_oauth_error(&answer, 403, "invalid_request");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_the_answer_is_503_and_no_verdict() {
    let store = Arc::new(Fragile::default());
    let url = serve(plugin(store.clone()).build().unwrap()).await;
    store.set_broken(Some("get"));
    // A key that only the store could judge.
    let key = format!("uak_{}", "A".repeat(64));
    for (path, media_type, authorization, body) in [
        ("/introspect", FORM, basic(&key), "token=a".to_owned()),
        ("/revoke", FORM, basic(&key), format!("token={key}")),
        (
            "/api/list_roles",
            "application/json",
            format!("Bearer {key}"),
            "{}".to_owned(),
        ),
    ] {
        let url = format!("{url}{path}");
        let asked = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build()
                .into();
            let request = agent.post(url).header("content-type", media_type);
            let mut answer = request
                .header("authorization", authorization)
                .send(body)
                .unwrap();
            let body: Value = answer.body_mut().read_json().unwrap();
            let retry_after = answer.headers().contains_key("retry-after");
            (answer.status().as_u16(), body, retry_after)
        });
        let (status, body, retry_after) = asked.await.unwrap();
        assert_eq!(status, 503, "{path}: {body}");
        assert!(retry_after, "{path}");
        if media_type == FORM {
            assert_eq!(body["error"], "temporarily_unavailable", "{path}");
        } else {
            assert_eq!(body["error"]["code"], -32004, "{path}");
        }
    }
}
