//! Fuzzes the header (the first line) and the claims of an assertion that a client has signed
//! with its key: it is let in once if another parser finds in them what RFC 7523 demands, and
//! never otherwise.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use user_auth_guest::domain::caller::Principal;
use user_auth_guest::oauth::client_assertion::TYPE;
use user_auth_guest::oauth::client_authentication::authenticate;
use user_auth_guest::oauth::parameters::{MAX_BYTES, Parameters, encode};
use user_auth_guest::testing::World;

/// The claims name the client by this word.
const CLIENT: &str = "CLIENT";
/// The longest assertion.
const LONGEST: usize = 8 << 10;

fuzz_target!(|text: &str| {
    let world = World::new();
    let key = SigningKey::from_slice(&[9; 32]).expect("a key");
    let client_id = client(&world, &key);
    is_refused(text, &client_id, &world);
    let Some((header, claims)) = text.split_once('\n') else {
        return;
    };
    let claims = claims.replace(CLIENT, &client_id);
    let signed = format!("{}.{}", coded(header), coded(&claims));
    let signature: Signature = key.sign(signed.as_bytes());
    let with = |signature: &[u8]| format!("{signed}.{}", coded(signature));
    let mut forged = signature.to_bytes();
    forged[40] ^= 1;
    is_refused(&with(&forged), &client_id, &world);
    let assertion = with(&signature.to_bytes());
    let is_right = assertion.len() <= LONGEST
        && matches!((parsed(header), parsed(&claims)), (Some(header), Some(claims))
            if permits(&header) && is_for_now(&claims, &client_id, &world));
    let is_let_in = is_let_in(&assertion, &client_id, &world);
    match text.contains('\\') {
        // Names with escapes are not compared here.
        true => assert!(is_right || !is_let_in, "{text}"),
        false => {
            let repeats = repeats_a_name(header) || repeats_a_name(&claims);
            assert_eq!(is_let_in, is_right && !repeats, "{text}");
        }
    }
    is_refused(&assertion, &client_id, &world);
});

/// Returns the id of a client with this key.
fn client(world: &World, key: &SigningKey) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": coded(x), "y": coded(y)});
    let input = json!({
        "client_name": "Pad",
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [jwk]},
    });
    let client = world.run_as(Principal::Operator, "create_client", input);
    let client = client.expect("a client");
    client["client_id"].as_str().expect("an id").to_owned()
}

fn coded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn is_let_in(assertion: &str, client_id: &str, world: &World) -> bool {
    let fields = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion),
    ];
    let form = encode(&fields);
    let Some(form) = Parameters::parse(form.as_bytes()) else {
        assert!(form.len() > MAX_BYTES);
        return false;
    };
    match authenticate(&form, None, &world.call()) {
        Ok(client) => {
            assert_eq!(client.value.client_id.to_string(), client_id);
            true
        }
        Err(error) => {
            assert!(["invalid_client", "invalid_request"].contains(&error.code));
            false
        }
    }
}

#[track_caller]
fn is_refused(assertion: &str, client_id: &str, world: &World) {
    assert!(!is_let_in(assertion, client_id, world), "{assertion}");
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Reports whether JSON without escapes is shorter when it is written again.
fn repeats_a_name(text: &str) -> bool {
    let names = |text: &str| text.matches(':').count();
    parsed(text).is_some_and(|value| names(&value.to_string()) < names(text))
}

fn permits(header: &Value) -> bool {
    let refused = ["crit", "jku", "jwk", "x5c", "x5u"];
    let types = ["jwt", "client-authentication+jwt"];
    let typ = header
        .get("typ")
        .map(|typ| typ.as_str().unwrap_or_default());
    let kid = header.get("kid").and_then(Value::as_str);
    header["alg"] == "ES256"
        && refused.iter().all(|name| header.get(name).is_none())
        && typ.is_none_or(|typ| types.contains(&typ.to_ascii_lowercase().as_str()))
        && kid.is_none_or(|kid| kid == "a")
}

fn is_for_now(claims: &Value, client_id: &str, world: &World) -> bool {
    let now = (world.now_ms.get() / 1000) as f64;
    let seconds = |name: &str| claims.get(name).map(|at| at.as_f64().map(f64::trunc));
    let is_past =
        |at: Option<Option<f64>>| at.is_none_or(|at| at.is_some_and(|at| at <= now + 30.0));
    let expires_at = seconds("exp").flatten();
    claims["iss"] == client_id
        && claims["sub"] == client_id
        && claims["aud"] == world.settings.issuer.as_str()
        && claims["jti"].as_str().is_some_and(|id| !id.is_empty())
        && expires_at.is_some_and(|at| now - 30.0 < at && at <= now + 330.0)
        && is_past(seconds("iat"))
        && is_past(seconds("nbf"))
}
