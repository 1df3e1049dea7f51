//! `/revoke` and `/introspect` for clients.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Browser, FILES, REDIRECT, Scene, encode, operator, text};
use crate::domain::clients::key_set::ALGORITHMS;

/// A scene whose client has a secret.
fn confidential(method: &str) -> (Scene, String) {
    let mut scene = Scene::new();
    let client = json!({
        "client_name": "Site",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": method,
    });
    let client = operator(&scene.world, "create_client", client);
    scene.client_id = text(&client["client_id"]);
    (scene, text(&client["client_secret"]))
}

impl Scene {
    fn form(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> (u16, Value) {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let response = self.send("POST", path, &[&form, headers].concat(), &encode(fields));
        let body = serde_json::from_slice(&response.body.unwrap()).unwrap();
        (response.status, body)
    }

    fn revoke(&self, token: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        self.form("/revoke", &[], &[&[("token", token)], fields].concat())
    }

    fn is_active(&self, tokens: &Value) -> (Value, Value) {
        let ask = |token: &Value, audience: &str| {
            let input = json!({"token": token, "audience": audience});
            operator(&self.world, "introspect_token", input)["active"].clone()
        };
        let access = ask(&tokens["access_token"], FILES);
        (access, ask(&tokens["refresh_token"], FILES))
    }

    /// Returns the tokens of a client that proves who it is by these fields.
    fn tokens_with(&self, fields: &[(&str, &str)]) -> Value {
        let code = Browser::signed_in(self).code(&self.query(&[]));
        let (status, tokens) = self.exchange(&code, fields);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

const ACTIVE: (Value, Value) = (Value::Bool(true), Value::Bool(true));
const INACTIVE: (Value, Value) = (Value::Bool(false), Value::Bool(false));

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

#[test]
fn a_public_client_revokes_its_access_by_either_token() {
    for kind in ["access_token", "refresh_token"] {
        let scene = Scene::new();
        let tokens = scene.tokens();
        assert_eq!(scene.is_active(&tokens), ACTIVE);
        let client = [
            ("client_id", scene.client_id.as_str()),
            ("token_type_hint", kind),
        ];
        for _ in 0..2 {
            let answer = scene.revoke(&text(&tokens[kind]), &client);
            assert_eq!(answer, (200, json!({})));
        }
        assert_eq!(scene.is_active(&tokens), INACTIVE, "{kind}");
        let (status, error) = scene.refresh(&text(&tokens["refresh_token"]), &[]);
        assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
    }
}

#[test]
fn an_expired_access_token_ends_the_access_too() {
    let scene = Scene::new();
    let tokens = scene.tokens();
    scene.world.pass(60 * 60);
    let client = [("client_id", scene.client_id.as_str())];
    scene.revoke(&text(&tokens["access_token"]), &client);
    assert_eq!(scene.is_active(&tokens), INACTIVE);
}

/// As before: who has a token may end it without saying who it is.
#[test]
fn the_token_of_a_client_is_revoked_by_its_possession() {
    for kind in ["access_token", "refresh_token"] {
        let scene = Scene::new();
        let tokens = scene.tokens();
        let answer = scene.revoke(&text(&tokens[kind]), &[]);
        assert_eq!(answer, (200, json!({})));
        assert_eq!(scene.is_active(&tokens), INACTIVE, "{kind}");
    }
}

#[test]
fn a_client_with_a_secret_has_to_show_it() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let (scene, secret) = confidential(method);
        let id = scene.client_id.clone();
        let by_form = [
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        let tokens = scene.tokens_with(&by_form);
        let token = text(&tokens["access_token"]);
        let other = basic(&id, &secret.replace("uas_", "uas_A"));
        let wrong = [("client_id", id.as_str()), ("client_secret", "uas_wrong")];
        for (headers, fields) in [
            (&[][..], &[("client_id", id.as_str())][..]),
            (&[], &wrong),
            (&[("authorization", other.as_str())], &[]),
        ] {
            for path in ["/revoke", "/introspect"] {
                let fields = [&[("token", token.as_str())], fields].concat();
                let (status, error) = scene.form(path, headers, &fields);
                assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
            }
        }
        assert_eq!(scene.is_active(&tokens), ACTIVE);
        let good = basic(&id, &secret);
        let headers = [("authorization", good.as_str())];
        let (status, seen) = scene.form("/introspect", &headers, &[("token", &token)]);
        assert_eq!(
            (status, &seen["active"], &seen["aud"]),
            (200, &json!(true), &json!(FILES))
        );
        let (_, seen) = scene.form(
            "/introspect",
            &[],
            &[&[("token", &*token)], &by_form[..]].concat(),
        );
        assert_eq!(seen["active"], true);
        let refresh = [("token", tokens["refresh_token"].as_str().unwrap())];
        let (_, seen) = scene.form("/introspect", &headers, &refresh);
        assert_eq!(seen["token_type"], "refresh_token");
        assert_eq!(scene.form("/revoke", &headers, &refresh), (200, json!({})));
        assert_eq!(scene.is_active(&tokens), INACTIVE);
        let (_, seen) = scene.form("/introspect", &headers, &[("token", &token)]);
        assert_eq!(seen, json!({"active": false}));
    }
}

#[test]
fn attack_a38_a_client_cannot_revoke_the_tokens_of_another() {
    let (scene, secret) = confidential("client_secret_post");
    let other = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    let other = text(&operator(&scene.world, "create_client", other)["client_id"]);
    let login = json!({"username": "alice", "password": super::PASSWORD});
    let login = scene.world.run("login", login).unwrap();
    let by_form = [
        ("client_id", scene.client_id.as_str()),
        ("client_secret", secret.as_str()),
    ];
    let tokens = scene.tokens_with(&by_form);
    let forged = text(&tokens["access_token"]);
    let forged = format!("{}.AAAA", forged.rsplit_once('.').unwrap().0);
    let mut answers = Vec::new();
    for token in [
        text(&tokens["access_token"]),
        text(&tokens["refresh_token"]),
        text(&login["access_token"]),
        text(&login["refresh_token"]),
        forged,
        "unknown".to_owned(),
    ] {
        answers.push(scene.revoke(&token, &[("client_id", &other)]));
    }
    assert!(answers.iter().all(|answer| *answer == (200, json!({}))));
    assert_eq!(scene.is_active(&tokens), ACTIVE);
    let verified = scene
        .world
        .run("verify_token", json!({"token": login["access_token"]}));
    assert_eq!(verified.unwrap()["active"], true);
}

#[test]
fn attack_a37_a_client_introspects_its_own_tokens_alone() {
    let (mut scene, secret) = confidential("client_secret_basic");
    let credential = basic(&scene.client_id, &secret);
    let own = [("authorization", credential.as_str())];
    let public = json!({"client_name": "Other", "redirect_uris": [REDIRECT]});
    scene.client_id = text(&operator(&scene.world, "create_client", public)["client_id"]);
    let tokens = scene.tokens();
    let login = json!({"username": "alice", "password": super::PASSWORD});
    let login = scene.world.run("login", login).unwrap();
    for token in [
        text(&tokens["access_token"]),
        text(&tokens["refresh_token"]),
        text(&login["access_token"]),
        text(&login["refresh_token"]),
        "unknown".to_owned(),
    ] {
        let seen = scene.form("/introspect", &own, &[("token", &token)]);
        assert_eq!(seen, (200, json!({"active": false})), "{token}");
    }
    // Anyone can say that they are a public client.
    let token = text(&tokens["access_token"]);
    let fields = [
        ("token", token.as_str()),
        ("client_id", scene.client_id.as_str()),
    ];
    let (status, error) = scene.form("/introspect", &[], &fields);
    assert_eq!((status, &error["error"]), (401, &json!("invalid_client")));
}

#[test]
fn the_refresh_token_of_a_client_that_is_gone_is_inactive() {
    let scene = Scene::new();
    let tokens = scene.tokens();
    operator(
        &scene.world,
        "delete_client",
        json!({"client_id": scene.client_id}),
    );
    assert_eq!(scene.is_active(&tokens), INACTIVE);
}

/// A request that shows an API key is one of a service, and never one of a client.
#[test]
fn an_api_key_is_not_taken_for_the_secret_of_a_client() {
    let scene = Scene::new();
    let tokens = scene.tokens();
    let token = text(&tokens["refresh_token"]);
    let key = format!("uak_{}", "A".repeat(64));
    let by_basic = basic(&scene.client_id, &key);
    for headers in [
        [("x-api-key", key.as_str())],
        [("authorization", by_basic.as_str())],
    ] {
        let fields = [
            ("token", token.as_str()),
            ("client_id", scene.client_id.as_str()),
        ];
        let (status, _) = scene.form("/introspect", &headers, &fields);
        assert!([400, 401].contains(&status), "{status}");
        let (status, error) = scene.form("/revoke", &headers, &fields);
        assert_eq!((status, &error["error"]), (400, &json!("invalid_request")));
    }
    assert_eq!(scene.is_active(&tokens), ACTIVE);
}

#[test]
fn the_metadata_say_how_clients_authenticate() {
    let scene = Scene::new();
    let response = scene.send("GET", "/.well-known/oauth-authorization-server", &[], "");
    let document: Value = serde_json::from_slice(&response.body.unwrap()).unwrap();
    for (endpoint, method) in [
        ("revocation", "none"),
        ("introspection", "client_secret_basic"),
        ("token", "private_key_jwt"),
        ("revocation", "private_key_jwt"),
        ("introspection", "private_key_jwt"),
    ] {
        let url = text(&document[format!("{endpoint}_endpoint")]);
        assert!(url.starts_with(super::ISSUER));
        let methods = &document[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert!(methods.as_array().unwrap().contains(&json!(method)));
        // RFC 8414 section 2: together with private_key_jwt.
        let signed = &document[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        assert_eq!(*signed, json!(ALGORITHMS));
    }
}
