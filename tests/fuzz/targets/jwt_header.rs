//! Fuzzes the header of an access token whose signature is right whatever the header says: the
//! token is valid if another parser finds in it what this service writes, and never otherwise.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use user_auth_guest::testing::{self, World};
use user_auth_guest::types::mac;

/// The header names the key by this word.
const KEY: &str = "KEY";
/// The longest token.
const LONGEST: usize = 6 << 10;

fuzz_target!(|text: &str| {
    let world = World::with_alice();
    let issued = world.tokens_of_alice()["access_token"].as_str();
    let issued = issued.expect("an access token");
    let mut parts = issued.split('.');
    let (Some(header), Some(claims)) = (parts.next(), parts.next()) else {
        panic!("{issued}");
    };
    let header = URL_SAFE_NO_PAD.decode(header).expect("a header");
    let expected: Value = serde_json::from_slice(&header).expect("a header");
    let key = expected["kid"].as_str().expect("a key");

    let header = text.replace(KEY, key);
    let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(&header));
    let label = format!("access-token/{key}");
    let signature = mac::of(&label, signed.as_bytes(), &world.ports()).expect("a signature");
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let input = json!({"token": token});
    let verified = testing::invoke("verify_token", input, &world.call());
    let is_valid = verified.is_ok_and(|answer| answer["active"] == true);

    let is_right = token.len() <= LONGEST
        && serde_json::from_str::<Value>(&header).is_ok_and(|header| header == expected);
    // A name that is repeated brings a colon more.
    let repeats = header.matches(':').count() > 3;
    match header.contains('\\') {
        // Names with escapes are not compared here.
        true => assert!(is_right || !is_valid, "{header}"),
        false => assert_eq!(is_valid, is_right && !repeats, "{header}"),
    }
});
