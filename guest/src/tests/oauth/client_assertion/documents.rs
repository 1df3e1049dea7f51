//! Clients whose metadata document says with which keys they sign.

use serde_json::{Value, json};

use super::super::{Browser, REDIRECT, Scene, operator, text};
use super::{ACCEPTED, INVALID_CLIENT, es256, jwk, of, proof};
use crate::domain::clients::client::TokenEndpointAuthMethod;
use crate::domain::clients::document_url::DocumentUrl;
use crate::oauth::metadata_document;
use crate::ports::Document;

const CLIENT: &str = "https://app.example/oauth/client.json";
const KEYS: &str = "https://keys.example/jwks.json";

fn document(changes: &Value) -> Value {
    let mut document = json!({
        "client_id": CLIENT,
        "client_name": "Pad",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
    });
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

fn key_set(kid: &str, seed: u8) -> Value {
    json!({"keys": [jwk(kid, &es256(seed))]})
}

impl Scene {
    fn put(&self, url: &str, document: &Value) {
        let document = Document {
            body: document.to_string().into_bytes(),
            fresh_for: None,
        };
        let mut documents = self.world.documents.borrow_mut();
        documents.insert(url.to_owned(), document);
    }

    fn take_away(&self, url: &str) {
        self.world.documents.borrow_mut().remove(url);
    }

    fn fetches_of(&self, url: &str) -> usize {
        let fetched = self.world.fetched.borrow();
        fetched.iter().filter(|fetched| *fetched == url).count()
    }
}

/// A scene whose client has this document, and a grant.
fn with_document(changes: &Value) -> Scene {
    let mut scene = Scene::new();
    scene.client_id = CLIENT.to_owned();
    scene.put(CLIENT, &document(changes));
    scene.put(KEYS, &key_set("a", 9));
    scene.grant("first", "a", 9);
    scene
}

#[test]
fn a_client_signs_with_a_key_of_its_document_or_at_the_url_there() {
    for changes in [json!({"jwks": key_set("a", 9)}), json!({"jwks_uri": KEYS})] {
        let scene = with_document(&changes);
        let refresh = scene.grant("1", "a", 9);
        assert_eq!(scene.refresh(&refresh, &[]).0, 401);
        let (status, tokens) = scene.refresh(&refresh, &proof(&scene.assertion("2")));
        assert_eq!(status, 200, "{tokens}");
        let fetches = usize::from(changes.get("jwks").is_none());
        assert_eq!(scene.fetches_of(KEYS), fetches);
        let listed = operator(&scene.world, "list_clients", json!({}));
        let listed = listed["clients"].to_string();
        assert!(listed.contains("private_key_jwt"), "{listed}");
    }
}

/// ChatGPT offers two methods.
#[test]
fn attack_a32_a_client_that_offers_a_key_is_held_to_it() {
    for method in [json!("none"), json!("private_key_jwt"), Value::Null] {
        let scene = with_document(&json!({
            "jwks_uri": KEYS,
            "token_endpoint_auth_method": method,
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        }));
        let answer = scene.answer(&[("client_id", CLIENT)]);
        assert_eq!(answer, of(INVALID_CLIENT), "{method}");
    }
}

/// A21, A32.
#[test]
fn attack_a21_a_document_says_in_one_way_how_its_client_authenticates() {
    let url = DocumentUrl::try_from(CLIENT.to_owned()).unwrap();
    let parse = |changes: &Value| {
        let document = document(changes).to_string();
        metadata_document::parse(&url, document.as_bytes())
    };
    let mut private = key_set("a", 9);
    private["keys"][0]["d"] = json!("secret");
    let method = "token_endpoint_auth_method";
    let choices = "token_endpoint_auth_methods_supported";
    for wrong in [
        json!({}),
        json!({"jwks": key_set("a", 9), "jwks_uri": KEYS}),
        json!({"jwks": private}),
        json!({"jwks": {"keys": []}}),
        json!({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}),
        json!({"jwks_uri": "http://keys.example/jwks.json"}),
        json!({"jwks_uri": "https://127.0.0.1/jwks.json"}),
        json!({"jwks_uri": 1}),
        json!({"jwks_uri": KEYS, "client_secret": "x"}),
        json!({"jwks_uri": KEYS, method: "client_secret_jwt"}),
        json!({method: "none", choices: ["none", "private_key_jwt"]}),
    ] {
        assert!(parse(&wrong).is_err(), "{wrong}");
    }
    let public = json!({method: "none", choices: ["none"], "jwks_uri": KEYS});
    let public = parse(&public).unwrap();
    assert_eq!(public.keys, None);
    assert_eq!(
        public.token_endpoint_auth_method,
        TokenEndpointAuthMethod::None
    );
}

impl Scene {
    /// Returns the store key of the only record of the keys of clients whose name ends so.
    fn record(&self, end: &str) -> String {
        let entries = self.world.entries().into_iter().map(|(key, _)| key);
        let mut found = entries.filter(|key| key.starts_with("client-keys/") && key.ends_with(end));
        found.next().unwrap()
    }
}

#[test]
fn a_key_that_is_missing_has_the_keys_fetched_again_at_most_once_a_minute() {
    let scene = with_document(&json!({"jwks_uri": KEYS}));
    assert_eq!(scene.fetches_of(KEYS), 1);
    let by_new_key = |id: &str| scene.assertion_by("b", &es256(8), id);
    scene.put(KEYS, &key_set("b", 8));
    scene.world.pass(59);
    scene.rejects(&by_new_key("1"), "the keys were fetched within the minute");
    assert_eq!(scene.fetches_of(KEYS), 1);
    scene.world.pass(1);
    scene.accepts(&by_new_key("2"));
    assert_eq!(scene.fetches_of(KEYS), 2);
    scene.rejects(&scene.assertion("3"), "the key of before");
    // Whoever sends other names has no more fetched.
    for id in ["4", "5", "6"] {
        scene.rejects(&scene.assertion_by("c", &es256(7), id), "an unknown key");
    }
    assert_eq!(scene.fetches_of(KEYS), 2);
    scene.accepts(&by_new_key("7"));
    // A key that was taken back is good for an hour at most.
    scene.put(KEYS, &key_set("c", 7));
    scene.world.pass(60 * 60);
    scene.rejects(&by_new_key("8"), "it was taken back");
    assert_eq!(scene.fetches_of(KEYS), 3);
}

#[test]
fn keys_that_cannot_be_fetched_again_are_good_for_a_day() {
    let scene = with_document(&json!({"jwks_uri": KEYS}));
    scene.take_away(KEYS);
    scene.world.pass(60 * 60);
    scene.accepts(&scene.assertion("1"));
    scene.accepts(&scene.assertion("2"));
    assert_eq!(scene.fetches_of(KEYS), 2);
    // A set with a private key is no set.
    let mut private = key_set("b", 8);
    private["keys"][0]["d"] = json!("secret");
    scene.put(KEYS, &private);
    scene.world.pass(22 * 60 * 60);
    let trouble = of((503, "temporarily_unavailable"));
    let by_new_key = |id: &str| scene.assertion_by("b", &es256(8), id);
    assert_eq!(scene.shows(&by_new_key("3")), trouble);
    scene.accepts(&scene.assertion("4"));
    let fetches = scene.fetches_of(KEYS);
    assert_eq!(scene.shows(&by_new_key("5")), trouble);
    assert_eq!(scene.fetches_of(KEYS), fetches, "once a minute");
    scene.world.pass(60 * 60);
    assert_eq!(scene.shows(&scene.assertion("6")), trouble, "after a day");
}

/// A client that hears `invalid_client` forgets its grant, so trouble is told from it.
#[test]
fn a_fetch_that_is_not_possible_now_is_not_the_fault_of_the_client() {
    let scene = with_document(&json!({"jwks_uri": KEYS}));
    scene.put(KEYS, &key_set("b", 8));
    scene.world.pass(60 * 60);
    scene.world.places_for_documents.set(Some(0));
    let trouble = of((503, "temporarily_unavailable"));
    // The known key is good as long as the other one is not known.
    let by_new_key = |id: &str| scene.assertion_by("b", &es256(8), id);
    assert_eq!(scene.shows(&by_new_key("1")), trouble);
    scene.accepts(&scene.assertion("2"));
    scene.world.places_for_documents.set(None);
    // Another request is fetching them.
    let gate = scene.record("/fetches");
    let store = scene.world.ports().store;
    store.add(&gate, 1, None).unwrap();
    assert_eq!(scene.shows(&by_new_key("3")), trouble);
    store.add(&gate, -2, None).unwrap();
    scene.accepts(&by_new_key("4"));
}

/// A20: with other keys it is another client.
#[test]
fn attack_a20_other_keys_in_a_document_need_another_consent() {
    let keys = json!({"jwks": key_set("a", 9)});
    for (changes, fields) in [
        (json!({"jwks": key_set("b", 8)}), true),
        (json!({"jwks_uri": KEYS}), true),
        (json!({"token_endpoint_auth_method": "none"}), false),
    ] {
        let scene = with_document(&keys);
        scene.put(KEYS, &key_set("b", 8));
        let refresh = scene.grant("1", "a", 9);
        let browser = Browser::signed_in(&scene);
        scene.world.pass(290);
        let code = browser.code(&scene.query(&[]));
        // Whoever has taken the website over has the new document fetched.
        scene.put(CLIENT, &document(&changes));
        scene.world.pass(10);
        let later = browser.code(&scene.query(&[]));
        let by_new_key = [1, 2, 3, 4].map(|id| {
            let id = format!("new {id}");
            scene.assertion_by("b", &es256(8), &id)
        });
        let proof = |at: usize| match fields {
            true => proof(&by_new_key[at]).to_vec(),
            false => Vec::new(),
        };
        let (status, error) = scene.refresh(&refresh, &proof(0));
        assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
        let (status, error) = scene.exchange(&code, &proof(1));
        assert_eq!((status, &error["error"]), (400, &json!("invalid_grant")));
        // The old key is worth nothing, and the new consent is.
        let old = scene.refresh(&refresh, &super::proof(&scene.assertion("2")));
        assert_eq!(old.0, 401);
        let (status, tokens) = scene.exchange(&later, &proof(2));
        assert_eq!(status, 200, "{tokens}");
        let (status, tokens) = scene.refresh(&text(&tokens["refresh_token"]), &proof(3));
        assert_eq!(status, 200, "{tokens}");
        let audit = operator(&scene.world, "query_audit", json!({}));
        assert!(audit.to_string().contains("private_key_jwt"), "{audit}");
    }
}

/// A client without a key that gets one keeps what users gave it, and needs the key from then
/// on.
#[test]
fn a_client_that_gets_a_key_keeps_its_grants() {
    let mut scene = Scene::new();
    scene.client_id = CLIENT.to_owned();
    let public = json!({"token_endpoint_auth_method": "none"});
    scene.put(CLIENT, &document(&public));
    let tokens = scene.tokens();
    scene.world.pass(300);
    scene.put(CLIENT, &document(&json!({"jwks": key_set("a", 9)})));
    let _page = Browser::new(&scene).get(&format!("/authorize?{}", scene.query(&[])));
    let refresh = text(&tokens["refresh_token"]);
    assert_eq!(scene.refresh(&refresh, &[]).0, 401);
    let (status, tokens) = scene.refresh(&refresh, &proof(&scene.assertion("1")));
    assert_eq!(status, 200, "{tokens}");
}

/// Anyone can send an assertion that names a client.
#[test]
fn attack_a19_one_source_has_keys_fetched_as_seldom_as_documents() {
    let scene = with_document(&json!({"jwks_uri": KEYS}));
    scene.put(KEYS, &key_set("b", 8));
    scene.world.pass(60 * 60);
    scene.world.tamper(&scene.record("/set"), None);
    for number in 0..10 {
        let client = json!({"redirect_uris": [format!("https://desk.example/{number}")]});
        let response = scene.send("POST", "/register", &[], &client.to_string());
        assert_eq!(response.status, 201);
    }
    let by_new_key = |id: &str| scene.assertion_by("b", &es256(8), id);
    let limited = of((429, "temporarily_unavailable"));
    assert_eq!(scene.shows(&by_new_key("1")), limited);
    assert_eq!(scene.fetches_of(KEYS), 1);
    // The refused one has not kept others from fetching them.
    scene.world.pass(59);
    assert_eq!(scene.shows(&by_new_key("3")), limited);
    scene.world.pass(1);
    scene.accepts(&by_new_key("4"));
}

/// A thief of a key could keep it alive after the client has taken it back.
#[test]
fn a_source_without_fetches_left_does_not_keep_a_known_set_from_being_fetched_again() {
    let scene = with_document(&json!({"jwks_uri": KEYS}));
    scene.put(KEYS, &key_set("b", 8));
    scene.world.pass(60 * 60);
    for number in 0..10 {
        let client = json!({"redirect_uris": [format!("https://desk.example/{number}")]});
        let response = scene.send("POST", "/register", &[], &client.to_string());
        assert_eq!(response.status, 201);
    }
    scene.rejects(&scene.assertion("1"), "the key was taken back");
    assert_eq!(scene.fetches_of(KEYS), 2);
}

#[test]
fn nothing_is_fetched_while_documents_are_off() {
    let mut scene = with_document(&json!({"jwks_uri": KEYS}));
    scene.world.pass(60 * 60);
    let oauth = scene.world.settings.oauth.as_mut().unwrap();
    oauth.client_documents = crate::settings::ClientDocuments::Off;
    assert_eq!(scene.shows(&scene.assertion("1")), of(ACCEPTED));
    let by_new_key = scene.assertion_by("b", &es256(8), "2");
    assert_eq!(scene.shows(&by_new_key).0, 503);
    assert_eq!(scene.fetches_of(KEYS), 1);
}
