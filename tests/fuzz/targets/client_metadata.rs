//! Fuzzes the body of a registration: what is accepted can be shown, sent in a header, and
//! registered again with the same result.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use user_auth_guest::oauth::client_metadata::{MAX_BYTES, parse_object, read};

fuzz_target!(|body: &[u8]| {
    let fields = match parse_object(body) {
        Ok(fields) => fields,
        Err(error) => return assert_eq!(error.code, "invalid_client_metadata"),
    };
    assert!(body.len() <= MAX_BYTES);
    let metadata = match read(&fields, None) {
        Ok(metadata) => metadata,
        Err(error) => {
            assert!(["invalid_redirect_uri", "invalid_client_metadata"].contains(&error.code));
            // RFC 6749 section 5.2: the characters of a description.
            let is_allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte);
            assert!(
                error.description.bytes().all(is_allowed),
                "{}",
                error.description
            );
            return;
        }
    };
    let uris = metadata.redirect_uris.as_slice();
    assert!((1..=10).contains(&uris.len()));
    assert!(
        uris.iter()
            .all(|uri| uri.as_str().bytes().all(|byte| byte.is_ascii_graphic()))
    );
    let name = metadata.client_name.as_ref().map(|name| name.as_str());
    if let Some(name) = name {
        assert!((1..=100).contains(&name.chars().count()) && !name.contains(char::is_control));
    }
    let mut again = json!({
        "client_name": name,
        "redirect_uris": uris.iter().map(|uri| uri.as_str()).collect::<Vec<_>>(),
        "token_endpoint_auth_method": metadata.token_endpoint_auth_method.as_str(),
    });
    if let Some(keys) = &metadata.keys {
        assert_eq!(again["token_endpoint_auth_method"], "private_key_jwt");
        match keys.url() {
            Some(url) => again["jwks_uri"] = url.into(),
            None => again["jwks"] = serde_json::from_str(keys.as_str()).expect("JSON"),
        }
    }
    let again = again.to_string();
    // Larger numbers are not exact in all readers of JSON, and in no member of a key.
    let is_exact = metadata.keys.as_ref().is_none_or(|keys| {
        let mut digits = keys
            .as_str()
            .split(|character: char| !character.is_ascii_digit());
        digits.all(|run| run.len() < 16)
    });
    if is_exact && again.len() <= MAX_BYTES {
        let fields = parse_object(again.as_bytes()).expect("it is an object");
        assert_eq!(read(&fields, None).expect("it was accepted"), metadata);
    }
});
