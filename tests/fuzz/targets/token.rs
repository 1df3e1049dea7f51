//! Fuzzes a text in the place of a token: only the issued tokens, letter for letter, are
//! valid.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use user_auth_guest::domain::credentials::api_key::ApiKey;
use user_auth_guest::domain::sessions::refresh_token::RefreshToken;
use user_auth_guest::testing::{self, World};

fuzz_target!(|text: &str| {
    let world = World::with_alice();
    let issued = |name: &str| world.tokens_of_alice()[name] == text;
    let call = world.call();
    let verified = testing::invoke("verify_token", json!({"token": text}), &call);
    let is_active = verified.is_ok_and(|answer| answer["active"] == true);
    assert_eq!(is_active, issued("access_token"), "an access token");
    let refresh_token = RefreshToken::parse(text, &world.ports());
    let is_ours = refresh_token.is_ok_and(|token| token.is_some());
    assert_eq!(is_ours, issued("refresh_token"), "a refresh token");
    let api_key = ApiKey::authenticate(text, &world.ports());
    let is_good = api_key.is_ok_and(|key| key.is_some());
    assert_eq!(is_good, issued("api_key"), "an API key");
});
