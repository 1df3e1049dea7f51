//! Fuzzes how a client says who it is: the first line is what `Basic` encodes, if there is
//! any, and the rest is a form. Only one that shows its secret in exactly one place is let in.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use user_auth_guest::domain::caller::Principal;
use user_auth_guest::oauth::client_authentication::authenticate;
use user_auth_guest::oauth::parameters::{Parameters, decode};
use user_auth_guest::testing::World;

fuzz_target!(|text: &str| {
    let world = World::new();
    let input = json!({
        "client_name": "Pad",
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let client = world.run_as(Principal::Operator, "create_client", input);
    let client = client.expect("a client");
    let id = client["client_id"].as_str().expect("an id");
    let secret = client["client_secret"].as_str().expect("a secret");
    // These words stand for its id and its secret, which the fuzzer cannot know.
    let text = text.replace("CLIENT", id).replace("SECRET", secret);
    let (basic, form) = text.split_once('\n').unwrap_or(("", &text));
    let Some(form) = Parameters::parse(form.as_bytes()) else {
        return;
    };
    let header = (!basic.is_empty()).then(|| format!("Basic {}", STANDARD.encode(basic)));
    let is_let_in = match authenticate(&form, header.as_deref(), &world.call()) {
        Ok(client) => {
            assert_eq!(client.value.client_id.to_string(), id);
            true
        }
        Err(error) => {
            assert!(["invalid_client", "invalid_request"].contains(&error.code));
            false
        }
    };
    let all = |name: &str| form.all(name).collect::<Vec<_>>();
    let ids = all("client_id");
    let secrets = all("client_secret");
    let assertions = [all("client_assertion"), all("client_assertion_type")].concat();
    let in_header = basic.split_once(':').is_some_and(|(given_id, given)| {
        decode(given_id).as_deref() == Some(id) && decode(given).as_deref() == Some(secret)
    });
    let is_shown = match header.is_some() {
        true => in_header && secrets.is_empty() && (ids.is_empty() || ids == [id]),
        false => ids == [id] && secrets == [secret],
    };
    assert_eq!(is_let_in, is_shown && assertions.is_empty(), "{text}");
});
