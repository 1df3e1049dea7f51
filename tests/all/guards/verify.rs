//! The requests that `/verify` admits: it decides for other services, so it refuses every
//! request that it does not fully understand.

use serde_json::json;
use user_auth_tests::{Answer, PASSWORD};

use super::{Guarded, keys_only, secret};

/// Starts a server and returns it with the token of a user who may read invoices.
fn start() -> (Guarded, String) {
    let guarded = Guarded::start(json!({}));
    guarded.server.new_session("alice");
    let role = json!({"role": "clerk", "permissions": ["billing:read"]});
    guarded.operate("define_role", role);
    let assigned = json!({"username": "alice", "role": "clerk"});
    guarded.operate("assign_role", assigned);
    let credentials = json!({"username": "alice", "password": PASSWORD});
    let tokens = guarded.server.call("login", credentials).unwrap();
    let token = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    (guarded, token)
}

fn message(answer: &Answer) -> String {
    let message = &answer.json()["error"]["message"];
    message.as_str().unwrap_or_default().to_owned()
}

#[test]
fn attack_37_unknown_or_malformed_parameters_are_refused() {
    let (guarded, token) = start();
    let ask = |query: &str| {
        let path = format!("/verify{query}");
        guarded.server.get(&path, &[("authorization", &token)])
    };
    for query in [
        "",
        "?",
        "?permission=billing:read",
        "?permission=billing%3Aread",
        "?%70ermission=billing:read",
        "?permissio%6E=billing:rea%64",
    ] {
        assert_eq!(ask(query).status, 200, "{query}");
    }
    for query in ["?permission=billing:write", "?%70ermission=billing%3awrite"] {
        assert_eq!(ask(query).status, 403, "{query}");
    }
    for (query, named) in [
        ("?permision=billing:read", "'permision'"),
        ("?Permission=billing:read", "'Permission'"),
        ("?PERMISSION=billing:read", "'PERMISSION'"),
        ("?audience=notes", "'audience'"),
        ("?scope=billing:read", "'scope'"),
        ("?permission[]=billing:read", "'permission[]'"),
        ("?permission%20=billing:read", "'permission '"),
        ("?%20permission=billing:read", "' permission'"),
        ("?permission+=billing:read", "'permission '"),
        ("?permission%00=billing:read", "'permission"),
        ("?%2570ermission=billing:read", "'%70ermission'"),
        ("?permission%3Dbilling:read", "'permission=billing:read'"),
        ("?permission=billing:read&audience=notes", "'audience'"),
        ("?audience=notes&permission=billing:read", "'audience'"),
        (
            "?permission=billing:read&permission=billing:write",
            "'permission'",
        ),
        (
            "?permission=billing:write&permission=billing:read",
            "'permission'",
        ),
        (
            "?permission=billing:read&permission=billing:read",
            "'permission'",
        ),
        (
            "?permission=billing:read&%70ermission=billing:write",
            "'permission'",
        ),
        ("?permission", "'permission'"),
        ("?permission=", "'permission'"),
        ("?=billing:read", "''"),
        ("?&", "''"),
        ("?permission=billing:read&", "''"),
        ("?&permission=billing:read", "''"),
        ("?billing:read", "'billing:read'"),
    ] {
        let answer = ask(query);
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        let message = message(&answer);
        assert!(message.contains(named), "{query}: {message}");
        assert!(
            message.contains("permission=billing:read"),
            "{query}: {message}"
        );
        assert!(answer.header("x-auth-subject").is_none(), "{query}");
    }
    // Values that cannot be names of permissions.
    for value in [
        "billing:write;permission=billing:read",
        "Billing:Read",
        "*",
        "billing:*",
        "%ff",
    ] {
        let answer = ask(&format!("?permission={value}"));
        assert_eq!(answer.status, 400, "{value}: {}", answer.text);
        assert!(
            answer.text.contains("permission"),
            "{value}: {}",
            answer.text
        );
    }
    // No other path beside it is served.
    for path in [
        "/verify/",
        "//verify",
        "/Verify",
        "/verify%2f",
        "/verify/billing:read",
    ] {
        let answer = guarded.server.get(path, &[("authorization", &token)]);
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// Another component on the way could read the other header.
#[test]
fn attack_37_duplicate_deciding_headers_are_refused() {
    let (guarded, token) = start();
    let twice = |name: &'static str, value: &str| {
        let headers = [("authorization", &*token), (name, value), (name, value)];
        guarded.server.get("/verify", &headers)
    };
    for name in [
        "x-api-key",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
    ] {
        let answer = twice(name, "x");
        assert_eq!(answer.status, 400, "{name}: {}", answer.text);
        assert!(message(&answer).contains(name), "{name}: {}", answer.text);
        let headers = [(name, "x"), (name, "y")];
        assert_eq!(guarded.ping(&headers).status, 400, "{name}");
    }
    let two = [("authorization", &*token), ("authorization", "Bearer x")];
    assert_eq!(guarded.server.get("/verify", &two).status, 400);
    let types = [
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
    ];
    let answer = guarded.ping(&types);
    assert_eq!(answer.status, 400);
    assert!(message(&answer).contains("content-type"), "{}", answer.text);
}

/// Only `/verify` reads the query.
#[test]
fn attack_37_other_paths_ignore_the_query() {
    let guarded = Guarded::start(keys_only());
    for path in ["/health", "/ready", "/mcp/server-card"] {
        let answer = guarded.server.get(&format!("{path}?a=b&a=c"), &[]);
        assert_eq!(answer.status, 200, "{path}");
    }
    let key = guarded.program("robot", &["user-auth:metrics:read"]);
    let key = secret(&key);
    for name in [
        "x-api-key",
        "api_key",
        "access_token",
        "authorization",
        "permission",
    ] {
        let query = format!("?{name}={key}");
        for path in ["/metrics", "/verify"] {
            let answer = guarded.server.get(&format!("{path}{query}"), &[]);
            assert!(
                matches!(answer.status, 400 | 401),
                "{path} {name}: {}",
                answer.status
            );
        }
        let answer = guarded
            .server
            .post_to(&format!("/mcp{query}"), &[], super::PING);
        assert_eq!(answer.status, 401, "{name}");
        let header = [("x-api-key", key)];
        let answer = guarded
            .server
            .post_to(&format!("/mcp{query}"), &header, super::PING);
        assert_eq!(answer.status, 200, "{name}");
    }
}

/// A proxy or program that shows a key of its own must not lend it to a client whose
/// credential is not understood.
#[test]
fn attack_37_a_credential_that_is_not_understood_is_not_ignored() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("robot", &["*"]);
    let key = secret(&key);
    for value in [
        "",
        "Bearer",
        "Bearer\tx.y.z",
        "Token x.y.z",
        "x.y.z",
        "Basic eDp5",
    ] {
        let headers = [("x-api-key", key), ("authorization", value)];
        for answer in [
            guarded.ping(&headers),
            guarded.server.get("/verify", &headers),
        ] {
            assert_eq!(answer.status, 401, "{value:?}: {}", answer.text);
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
        }
    }
}

/// The proxy needs no key, which it would lend to every request without a credential.
#[test]
fn a_users_token_passes_verify_where_messages_require_a_key() {
    let guarded = Guarded::start(keys_only());
    let key = guarded.program("robot", &["*"]);
    let session = guarded.operate("register", json!({"username": "zoe", "password": PASSWORD}));
    assert!(session["user_id"].is_string(), "{session}");
    let by_key = [("x-api-key", secret(&key))];
    let login = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "user-auth_login",
        "arguments": {"username": "zoe", "password": PASSWORD}}});
    let tokens = guarded
        .server
        .post_to("/mcp", &by_key, login.to_string())
        .json();
    let token = &tokens["result"]["structuredContent"]["access_token"];
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let bearer = [("authorization", &*bearer)];
    let verified = guarded.server.get("/verify", &bearer);
    assert_eq!(verified.status, 200, "{}", verified.text);
    let subject = session["user_id"].as_str();
    assert_eq!(verified.header("x-auth-subject"), subject);
    assert_eq!(guarded.ping(&bearer).status, 401, "messages require a key");
    assert_eq!(guarded.server.get("/verify", &[]).status, 401);
}
