//! What is not an access token of ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::ports::Keys;
use crate::testing::World;

fn verify(world: &World, token: &str) -> Value {
    world.run("verify_token", json!({"token": token})).unwrap()
}

fn inactive() -> Value {
    json!({"active": false})
}

/// A token with this header and these claims, signed with our own key.
fn signed(world: &World, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = world.derive("access-token/1").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn parts(token: &str) -> (String, String) {
    let mut parts = token.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        String::from_utf8_lossy(&json).into_owned()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn every_flipped_bit_of_a_token_is_noticed() {
    let world = World::new();
    let tokens = world.alice();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(verify(&world, token)["active"], true);
    for index in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[index] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(bytes) else {
                continue;
            };
            assert_eq!(
                verify(&world, &flipped),
                inactive(),
                "byte {index}, bit {bit}"
            );
        }
    }
}

#[test]
fn only_our_own_header_is_taken_even_with_a_good_signature() {
    let world = World::new();
    let tokens = world.alice();
    let (header, claims) = parts(tokens["access_token"].as_str().unwrap());
    assert_eq!(
        verify(&world, &signed(&world, &header, &claims))["active"],
        true
    );
    for header in [
        r#"{"alg":"none","typ":"at+jwt","kid":"1"}"#,
        r#"{"alg":"None","typ":"at+jwt","kid":"1"}"#,
        r#"{"alg":"","typ":"at+jwt","kid":"1"}"#,
        r#"{"alg":"HS384","typ":"at+jwt","kid":"1"}"#,
        r#"{"alg":"RS256","typ":"at+jwt","kid":"1"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"2"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"../../1"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"1","crit":["x"]}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"1","jku":"https://example.com"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"1","jwk":{}}"#,
        r#"{"alg":"none","alg":"HS256","typ":"at+jwt","kid":"1"}"#,
        "",
    ] {
        assert_eq!(
            verify(&world, &signed(&world, header, &claims)),
            inactive(),
            "{header}"
        );
    }
}

#[test]
fn claims_of_the_wrong_type_are_not_claims() {
    let world = World::new();
    let tokens = world.alice();
    let (header, claims) = parts(tokens["access_token"].as_str().unwrap());
    let claims: Value = serde_json::from_str(&claims).unwrap();
    let exp = claims["exp"].clone();
    for (name, value) in [
        ("exp", json!(exp.to_string())),
        ("exp", json!(null)),
        ("exp", json!(1.5e18)),
        ("exp", json!(-1)),
        ("nbf", json!("0")),
        ("nbf", json!(4_000_000_000_u64)),
        ("iat", json!(null)),
        ("aud", json!("another")),
        ("aud", json!(["user-auth"])),
        ("iss", json!("another")),
        ("sub", json!("me")),
        ("role", json!("admin")),
    ] {
        let mut changed = claims.clone();
        changed[name] = value.clone();
        let token = signed(&world, &header, &changed.to_string());
        assert_eq!(verify(&world, &token), inactive(), "{name}: {value}");
    }
    for name in ["exp", "nbf", "iat", "aud", "iss", "sub", "sid", "jti"] {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name);
        let token = signed(&world, &header, &changed.to_string());
        assert_eq!(verify(&world, &token), inactive(), "{name} missing");
    }
    let twice = claims.to_string().replacen('{', r#"{"exp":9999999999,"#, 1);
    assert_eq!(verify(&world, &signed(&world, &header, &twice)), inactive());
}

#[test]
fn a_token_has_one_spelling() {
    let world = World::new();
    let tokens = world.alice();
    let token = tokens["access_token"].as_str().unwrap();
    for respelled in [
        format!("{token}="),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        token.replacen('.', "..", 1),
        token.replacen('.', ".\n", 1),
    ] {
        assert_eq!(verify(&world, &respelled), inactive(), "{respelled:?}");
    }
}

#[test]
fn what_is_no_token_at_all_is_only_inactive() {
    let world = World::new();
    let tokens = world.alice();
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        "\0",
        refresh_token,
        &"a".repeat(1_000_000),
        &format!("{}.{}.", "a".repeat(1_000), "b".repeat(1_000_000)),
        &signed(
            &world,
            r#"{"alg":"HS256","typ":"at+jwt","kid":"1"}"#,
            &nested,
        ),
    ] {
        assert_eq!(verify(&world, text), inactive());
    }
    let access_token = tokens["access_token"].clone();
    let answer = world.run("refresh_token", json!({"refresh_token": access_token}));
    assert_eq!(answer, Err(-32001));
    assert_eq!(
        verify(&world, tokens["access_token"].as_str().unwrap())["active"],
        true
    );
}
