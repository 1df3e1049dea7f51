//! Clients that prove who they are with a key of their own (`private_key_jwt`): those that
//! others wrote, and one that is copied.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use user_auth_tests::folder;

use super::browser::encode;
use super::metadata_documents::Documents;
use super::real_clients::{Guarded, lives_through_all};
use super::{Browser, ISSUER, REDIRECT, Scene, operate};
use crate::clients::{client, node, script};

const PARALLEL: usize = 8;

/// Returns a new pair of keys, each as a JSON Web Key.
fn key_pair(algorithm: &str) -> Value {
    let home = folder();
    let mut command = script(node(), "client_key.mjs", home.path());
    let output = command.arg(algorithm).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn with_key(mut command: Command, client_id: &str, pair: &Value) -> Command {
    command.env("CLIENT_ID", client_id);
    command.env("CLIENT_KEY", pair["private"].to_string());
    command
}

#[test]
fn openid_client_signs_in_with_a_key_of_each_algorithm() {
    for algorithm in ["ES256", "Ed25519", "RS256"] {
        let pair = key_pair(algorithm);
        let guarded = Guarded::start("");
        let metadata = guarded
            .server
            .get("/.well-known/oauth-authorization-server", &[]);
        let signed = &metadata.json()["token_endpoint_auth_signing_alg_values_supported"];
        assert!(
            signed.as_array().unwrap().contains(&json!(algorithm)),
            "{signed}"
        );
        let input = json!({
            "client_name": "Desk",
            "redirect_uris": ["http://127.0.0.1:33418/callback"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [pair["public"]]},
        });
        let registered = guarded.operate("create_client", &input);
        let client_id = registered["client_id"].as_str().unwrap();
        let mut command = script(node(), "openid_client.mjs", guarded.home.path());
        command.env("CLIENT_ALGORITHM", algorithm);
        command.arg(format!("{}/mcp", guarded.issuer));
        let command = with_key(command, client_id, &pair);
        lives_through_all(guarded, command, false);
    }
}

#[test]
fn authlib_signs_in_with_the_key_at_the_url_in_its_metadata_document() {
    let pair = key_pair("RS256");
    let keys = folder();
    let jwks = keys.path().join("jwks.json");
    fs::write(&jwks, json!({"keys": [pair["public"]]}).to_string()).unwrap();
    let mut documents = Documents::start_with(Some(&jwks));
    let guarded = documents.authorization_server("loopback");
    let url = documents.url("/keyed.json");
    let python = client(".venv/bin/python");
    let mut command = script(python, "authlib_client.py", guarded.home.path());
    command.arg(format!("{}/mcp", guarded.issuer));
    let guarded = lives_through_all(guarded, with_key(command, &url, &pair), false);
    // One document and one set of keys for two sign-ins, each with a refresh.
    let asked = documents.asked(&Browser::new(&guarded.server));
    assert_eq!(asked, ["/keyed.json", "/jwks.json", "/end"]);
    let listed = guarded.operate("list_clients", &json!({}));
    // In no particular order.
    let mut clients = listed["clients"].as_array().unwrap().iter();
    let keyed = clients.find(|client| client["client_id"] == url.as_str());
    let method = &keyed.unwrap()["token_endpoint_auth_method"];
    assert_eq!(*method, "private_key_jwt", "{listed}");
}

#[test]
fn openid_client_signs_in_with_a_key_at_the_url_that_it_has_registered() {
    let pair = key_pair("ES256");
    let keys = folder();
    let jwks = keys.path().join("jwks.json");
    fs::write(&jwks, json!({"keys": [pair["public"]]}).to_string()).unwrap();
    let documents = Documents::start_with(Some(&jwks));
    let guarded = documents.authorization_server("loopback");
    let metadata = json!({
        "client_name": "Desk",
        "redirect_uris": ["http://127.0.0.1:33418/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": documents.url("/jwks.json"),
    });
    let registered = guarded
        .server
        .post_to("/register", &[], metadata.to_string());
    assert_eq!(registered.status, 201, "{}", registered.text);
    let registered = registered.json();
    assert_eq!(registered["jwks_uri"], metadata["jwks_uri"]);
    let mut command = script(node(), "openid_client.mjs", guarded.home.path());
    command.env("CLIENT_ALGORITHM", "ES256");
    command.arg(format!("{}/mcp", guarded.issuer));
    let client_id = registered["client_id"].as_str().unwrap();
    lives_through_all(guarded, with_key(command, client_id, &pair), false);
}

/// A31: attackers show an assertion that they have read on its way.
#[test]
fn attack_a31_of_many_that_show_one_assertion_at_once_one_is_let_in() {
    let scene = Scene::start();
    let coded = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let key = SigningKey::from_slice(&[9; 32]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": coded(x), "y": coded(y)});
    let registered = json!({
        "client_name": "Desk",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [jwk]},
    });
    let registered = operate(&scene.home, "create_client", &registered);
    let client_id = registered["client_id"].as_str().unwrap();
    for round in 0..4 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": ISSUER,
            "jti": format!("{round}"), "exp": now.as_secs() + 60,
        });
        let header = json!({"alg": "ES256"});
        let [header, claims] = [header, claims].map(|part| coded(part.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        let signature: Signature = key.sign(input.as_bytes());
        let assertion = format!("{input}.{}", coded(&signature.to_bytes()));
        let form = encode(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "uar_unknown"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ]);
        let barrier = Barrier::new(PARALLEL);
        let show = || {
            barrier.wait();
            let media_type = ("content-type", "application/x-www-form-urlencoded");
            let answer = scene
                .server
                .post_to("/token", &[media_type], form.clone())
                .json();
            answer["error"].as_str().unwrap().to_owned()
        };
        let mut answers = BTreeMap::new();
        thread::scope(|scope| {
            let shown: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(show)).collect();
            for shown in shown {
                *answers.entry(shown.join().unwrap()).or_insert(0) += 1;
            }
        });
        // Its token is judged, and is not a good one.
        let expected = [("invalid_client", PARALLEL - 1), ("invalid_grant", 1)];
        let expected = expected.map(|(code, number)| (code.to_owned(), number));
        assert_eq!(answers, BTreeMap::from(expected));
    }
}
