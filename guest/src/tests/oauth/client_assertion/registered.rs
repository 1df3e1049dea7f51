//! Clients that register themselves with keys of their own (RFC 7591 section 2).

use serde_json::{Value, json};

use super::super::{ISSUER, REDIRECT, Scene, text};
use super::{ACCEPTED, INVALID_CLIENT, es256, jwk, of, proof};
use crate::ports::Document;
use crate::settings::ClientDocuments;

const KEYS: &str = "https://keys.example/jwks.json";

fn metadata(changes: &Value) -> Value {
    let mut metadata = json!({
        "client_name": "Desk",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
    });
    for (name, value) in changes.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    metadata
}

fn key_set(kid: &str, seed: u8) -> Value {
    json!({"keys": [jwk(kid, &es256(seed))]})
}

impl Scene {
    /// Posts metadata with these changes.
    fn posts(&self, changes: &Value) -> (u16, Value) {
        let body = metadata(changes).to_string();
        let response = self.send("POST", "/register", &[], &body);
        let body = response.body.unwrap();
        (response.status, serde_json::from_slice(&body).unwrap())
    }

    fn keys_are_at_their_url(&self, keys: &Value) {
        let document = Document {
            body: keys.to_string().into_bytes(),
            fresh_for: None,
        };
        let mut documents = self.world.documents.borrow_mut();
        documents.insert(KEYS.to_owned(), document);
    }
}

/// A scene whose client has registered itself with these changes, and what it was answered.
fn registered(changes: &Value) -> (Scene, Value) {
    let mut scene = Scene::new();
    scene.keys_are_at_their_url(&key_set("a", 9));
    let (status, client) = scene.posts(changes);
    assert_eq!(status, 201, "{client}");
    scene.client_id = text(&client["client_id"]);
    (scene, client)
}

#[test]
fn a_client_registers_its_keys_or_their_url_and_signs_with_them() {
    for changes in [
        json!({"jwks": key_set("a", 9)}),
        json!({"jwks": key_set("a", 9), "jwks_uri": null, "application_type": "native"}),
        json!({"jwks_uri": KEYS, "jwks": null}),
    ] {
        let (scene, client) = registered(&changes);
        assert_eq!(client["token_endpoint_auth_method"], "private_key_jwt");
        for name in ["jwks", "jwks_uri"] {
            let expected = changes.get(name).filter(|value| !value.is_null());
            assert_eq!(client.get(name), expected, "{client}");
        }
        assert_eq!(client.get("client_secret"), None);
        assert_eq!(client.get("client_secret_expires_at"), None);
        let refresh = scene.grant("1", "a", 9);
        let (status, tokens) = scene.refresh(&refresh, &proof(&scene.assertion("2")));
        assert_eq!(status, 200, "{tokens}");
        scene.rejects(&scene.assertion("2"), "it was shown before");
        scene.rejects(&scene.assertion_by("a", &es256(8), "3"), "another key");
    }
}

#[test]
fn attack_a32_a_client_that_registered_a_key_is_held_to_it() {
    let (scene, client) = registered(&json!({"jwks": key_set("a", 9)}));
    let id = text(&client["client_id"]);
    let token = text(&client["registration_access_token"]);
    for secret in ["", "uas_x", &token] {
        let fields = [("client_id", id.as_str()), ("client_secret", secret)];
        assert_eq!(scene.answer(&fields), of(INVALID_CLIENT), "{secret}");
    }
    scene.accepts(&scene.assertion("1"));
}

#[test]
fn attack_a21_keys_that_cannot_be_registered_are_named() {
    let mut private = key_set("a", 9);
    private["keys"][0]["d"] = json!("secret");
    let scene = Scene::new();
    let before = scene.world.dump("client");
    for (changes, named) in [
        (json!({}), "'jwks' or 'jwks_uri'"),
        (
            json!({"jwks": key_set("a", 9), "jwks_uri": KEYS}),
            "'jwks' or 'jwks_uri'",
        ),
        (json!({"jwks": private}), "'jwks':"),
        (json!({"jwks": {"keys": []}}), "'jwks':"),
        (
            json!({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}),
            "'jwks':",
        ),
        (json!({"jwks": KEYS}), "'jwks':"),
        (
            json!({"jwks_uri": "http://keys.example/jwks.json"}),
            "'jwks_uri':",
        ),
        (
            json!({"jwks_uri": "https://10.0.0.1/jwks.json"}),
            "'jwks_uri':",
        ),
        (json!({"jwks_uri": [KEYS]}), "'jwks_uri'"),
    ] {
        let (status, error) = scene.posts(&changes);
        assert_eq!(
            (status, &error["error"]),
            (400, &json!("invalid_client_metadata"))
        );
        let description = text(&error["error_description"]);
        assert!(description.starts_with(named), "{changes}: {description}");
    }
    assert_eq!(scene.world.dump("client"), before);
    assert_eq!(
        scene.world.fetched.borrow().len(),
        0,
        "a registration fetches nothing"
    );
}

#[test]
fn keys_at_a_url_are_not_registered_where_nothing_is_fetched() {
    let mut scene = Scene::new();
    let oauth = scene.world.settings.oauth.as_mut().unwrap();
    oauth.client_documents = ClientDocuments::Off;
    let (status, error) = scene.posts(&json!({"jwks_uri": KEYS}));
    assert_eq!(status, 400);
    assert!(text(&error["error_description"]).starts_with("'jwks_uri':"));
    assert_eq!(scene.posts(&json!({"jwks": key_set("a", 9)})).0, 201);
}

/// Keys of a client that has another method mean nothing, and are dropped.
#[test]
fn keys_are_those_of_a_client_that_authenticates_by_one() {
    for method in ["none", "client_secret_basic"] {
        let keys = json!({"jwks": key_set("a", 9), "token_endpoint_auth_method": method});
        let (_, client) = registered(&keys);
        assert_eq!(client.get("jwks"), None);
    }
}

/// RFC 7592.
#[test]
fn a_client_replaces_its_keys_by_its_registration_access_token() {
    let (scene, client) = registered(&json!({"jwks": key_set("a", 9)}));
    let refresh = scene.grant("1", "a", 9);
    let uri = text(&client["registration_client_uri"]);
    let target = uri.strip_prefix(ISSUER).unwrap();
    let bearer = format!("Bearer {}", text(&client["registration_access_token"]));
    let manage = |method: &str, body: &str| {
        let response = scene.send(method, target, &[("authorization", &bearer)], body);
        let body = response.body.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        (response.status, body)
    };
    assert_eq!(manage("GET", ""), (200, client.clone()));
    let change = |changes: Value| {
        let mut metadata = metadata(&changes);
        metadata["client_id"] = client["client_id"].clone();
        manage("PUT", &metadata.to_string())
    };
    assert_eq!(change(json!({})).0, 400, "its keys are missing");
    let other = json!({"jwks": key_set("a", 9), "token_endpoint_auth_method": "none"});
    assert_eq!(change(other).0, 400, "its method stays");
    scene.accepts(&scene.assertion("2"));
    let (status, changed) = change(json!({"jwks": key_set("b", 8)}));
    assert_eq!((status, &changed["jwks"]), (200, &key_set("b", 8)));
    scene.rejects(&scene.assertion("3"), "the key of before");
    // It is the same client, whose users are not asked again.
    let assertion = scene.assertion_by("b", &es256(8), "4");
    assert_eq!(scene.refresh(&refresh, &proof(&assertion)).0, 200);
    let (status, changed) = change(json!({"jwks_uri": KEYS}));
    assert_eq!((status, &changed["jwks_uri"]), (200, &json!(KEYS)));
    assert_eq!(changed.get("jwks"), None);
    assert_eq!(scene.answer(&proof(&scene.assertion("5"))), of(ACCEPTED));
}
