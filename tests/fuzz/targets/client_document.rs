//! Fuzzes the metadata document of a client, and the key set in it: what is accepted is public
//! and has the same meaning when it is written again, and what is refused names the member.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use user_auth_guest::domain::clients::client::TokenEndpointAuthMethod;
use user_auth_guest::domain::clients::document_url::DocumentUrl;
use user_auth_guest::domain::clients::dynamic_registration::ClientMetadata;
use user_auth_guest::domain::clients::key_set::ClientKeys;
use user_auth_guest::oauth::client_metadata::MAX_BYTES;
use user_auth_guest::oauth::metadata_document::parse;
use user_auth_guest::ports::Algorithm;

const URL: &str = "https://app.example/client.json";
/// What a refusal can be about.
const SUBJECTS: [&str; 12] = [
    "the body ",
    "'client_id'",
    "'client_name'",
    "'client_secret'",
    "'client_secret_expires_at'",
    "'grant_types'",
    "'jwks'",
    "'jwks_uri'",
    "'redirect_uris'",
    "'redirect_uris[",
    "'response_types'",
    "'token_endpoint_auth_method'",
];

fuzz_target!(|body: &[u8]| {
    let url = DocumentUrl::try_from(URL.to_owned()).expect("a URL");
    let metadata = match parse(&url, body) {
        Ok(metadata) => metadata,
        Err(error) => {
            let description = error.description;
            let names = SUBJECTS.iter().any(|it| description.starts_with(it));
            assert!(
                names && description.bytes().all(|it| matches!(it, 0x20..=0x7e)),
                "{description}"
            );
            return;
        }
    };
    let sent: Value = serde_json::from_slice(body).expect("another parser reads it, too");
    assert_eq!(sent["client_id"], URL);
    assert!(sent.get("client_secret").is_none());
    let name = metadata.client_name.as_ref().expect("a name").as_str();
    assert!((1..=100).contains(&name.chars().count()) && !name.contains(char::is_control));
    if let Some(keys) = &metadata.keys {
        check_keys(keys);
    }
    let again = written(&metadata);
    let is_exact = metadata.keys.as_ref().is_none_or(has_exact_numbers);
    if is_exact && again.len() <= MAX_BYTES {
        assert_eq!(
            parse(&url, again.as_bytes()).expect("it was accepted"),
            metadata
        );
    }
});

fn check_keys(keys: &ClientKeys) {
    let stored = serde_json::to_value(keys).expect("a record");
    let read: ClientKeys = serde_json::from_value(stored).expect("a stored text");
    assert_eq!(read, *keys);
    let algorithms = [Algorithm::Es256, Algorithm::Eddsa, Algorithm::Rs256];
    let found = algorithms.map(|algorithm| keys.find(algorithm, None));
    if let Some(url) = keys.url() {
        assert!(DocumentUrl::try_from(url.to_owned()).is_ok());
        assert_eq!(found.concat(), Vec::<String>::new());
        return;
    }
    let set: Value = serde_json::from_str(keys.as_str()).expect("a set is JSON");
    let set = set["keys"].as_array().expect("a list of keys");
    assert!((1..=32).contains(&set.len()));
    for key in set {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{key}");
        }
    }
    assert!(!found.concat().is_empty());
    for (keys, kind) in found.iter().zip(["EC", "OKP", "RSA"]) {
        for key in keys {
            let key: Value = serde_json::from_str(key).expect("a key is JSON");
            assert!(key["kty"] == kind && set.contains(&key), "{key}");
        }
    }
}

/// Reports whether every number in a key is one that all readers of JSON hold exactly (RFC 7493
/// section 2.2). No member of a key is a larger one.
fn has_exact_numbers(keys: &ClientKeys) -> bool {
    let mut digits = keys
        .as_str()
        .split(|character: char| !character.is_ascii_digit());
    digits.all(|run| run.len() < 16)
}

fn written(metadata: &ClientMetadata) -> String {
    let uris = metadata.redirect_uris.as_slice().iter();
    let mut document = json!({
        "client_id": URL,
        "client_name": metadata.client_name.as_ref().map(|name| name.as_str()),
        "redirect_uris": uris.map(|uri| uri.as_str()).collect::<Vec<_>>(),
        "token_endpoint_auth_method": metadata.token_endpoint_auth_method.as_str(),
    });
    let has_keys = metadata.token_endpoint_auth_method == TokenEndpointAuthMethod::PrivateKeyJwt;
    assert_eq!(metadata.keys.is_some(), has_keys);
    if let Some(keys) = &metadata.keys {
        match keys.url() {
            Some(url) => document["jwks_uri"] = url.into(),
            None => document["jwks"] = serde_json::from_str(keys.as_str()).expect("JSON"),
        }
    }
    document.to_string()
}
