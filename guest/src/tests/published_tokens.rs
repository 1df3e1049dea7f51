//! Tokens for other services, which verify them by the published keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::caller::Principal;
use crate::domain::sessions::jwks;
use crate::domain::sessions::signing_key::SigningKeys;
use crate::ports::{Algorithm, Signing};
use crate::testing::World;

const HOUR: u64 = 60 * 60;

fn world() -> (World, Value) {
    let mut world = World::new();
    world.settings.other_audiences = vec!["https://one.example".to_owned(), "two".to_owned()];
    let alice = world.alice();
    (world, alice)
}

fn issue(world: &World, alice: &Value, audience: &str) -> String {
    let input = json!({"access_token": alice["access_token"], "audience": audience});
    let issued = world.run("issue_token", input).unwrap();
    issued["access_token"].as_str().unwrap().to_owned()
}

fn verify(world: &World, token: &str, audience: Option<&str>) -> Value {
    let mut input = json!({"token": token});
    if let Some(audience) = audience {
        input["audience"] = audience.into();
    }
    world.run("verify_token", input).unwrap()
}

fn keys(world: &World) -> Vec<Value> {
    let set = jwks::document(&world.call()).unwrap();
    set["keys"].as_array().unwrap().clone()
}

fn rotate(world: &World, input: Value) -> Value {
    world
        .run_as(Principal::Operator, "rotate_signing_key", input)
        .unwrap()
}

fn states(listed: &Value) -> Vec<&str> {
    let keys = listed["signing_keys"].as_array().unwrap();
    keys.iter()
        .filter(|key| key["alg"] != "HS256")
        .map(|key| key["status"].as_str().unwrap())
        .collect()
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Verifies as another service does: by the key set alone.
fn verifies_elsewhere(world: &World, token: &str) -> bool {
    let kid = part(token, 0)["kid"].clone();
    let Some(key) = keys(world).into_iter().find(|key| key["kid"] == kid) else {
        return false;
    };
    let algorithm = serde_json::from_value(key["alg"].clone()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    world
        .verify(algorithm, &key.to_string(), signed.as_bytes(), &signature)
        .unwrap()
}

/// Signs this header and these claims with the published key that the header names, or else
/// with the one that signs.
fn signed(world: &World, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let keys = SigningKeys::load_published(&world.call()).unwrap();
    let now = world.call().now();
    let named = keys.published(header["kid"].as_str().unwrap_or_default());
    let current = || keys.current_published(Algorithm::Es256, now);
    let (key, published) = named.or_else(current).unwrap();
    let signature = world.sign(&key.name(published), input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_for_another_service_has_the_claims_of_rfc_9068_and_no_name() {
    let (world, alice) = world();
    let token = issue(&world, &alice, "two");
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("at+jwt"), &json!("ES256"))
    );
    assert_eq!(claims["aud"], "two");
    for name in [
        "iss",
        "sub",
        "client_id",
        "jti",
        "iat",
        "exp",
        "scope",
        "auth_time",
        "acr",
        "amr",
    ] {
        assert!(!claims[name].is_null(), "{name}");
    }
    assert_eq!(claims.get("username"), None);
    assert!(verifies_elsewhere(&world, &token));
    let verified = verify(&world, &token, Some("two"));
    assert_eq!(
        (&verified["active"], &verified["username"]),
        (&json!(true), &json!("alice"))
    );
}

#[test]
fn the_key_set_has_public_members_only() {
    for (algorithm, members) in [
        (
            Algorithm::Es256,
            vec!["alg", "crv", "kid", "kty", "use", "x", "y"],
        ),
        (
            Algorithm::Eddsa,
            vec!["alg", "crv", "kid", "kty", "use", "x"],
        ),
    ] {
        let mut world = World::new();
        world.settings.signing_algorithm = algorithm;
        let keys = keys(&world);
        assert_eq!(keys.len(), 1);
        let mut names: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, members);
        assert_eq!(
            (&keys[0]["use"], &keys[0]["alg"]),
            (&json!("sig"), &json!(algorithm.name()))
        );
    }
}

/// Attack 56.
#[test]
fn a_token_for_one_service_is_rejected_for_another_and_in_another_spelling() {
    let (world, alice) = world();
    let token = issue(&world, &alice, "https://one.example");
    assert_eq!(
        verify(&world, &token, Some("https://one.example"))["active"],
        true
    );
    for other in [
        "two",
        "https://one.example/",
        "https://ONE.example",
        "https://one.example:443",
        "user-auth",
        "",
    ] {
        let verified = verify(&world, &token, Some(other));
        assert_eq!(verified, json!({"active": false}), "{other}");
    }
    assert_eq!(verify(&world, &token, None), json!({"active": false}));
    let header = part(&token, 0);
    for audience in [
        json!(["https://one.example"]),
        json!(["two", "https://one.example"]),
    ] {
        let mut claims = part(&token, 1);
        claims["aud"] = audience;
        let forged = signed(&world, &header, &claims);
        for asked in ["two", "https://one.example"] {
            let verified = verify(&world, &forged, Some(asked));
            assert_eq!(verified, json!({"active": false}));
        }
    }
}

/// Attack 57.
#[test]
fn no_kind_of_token_passes_for_another() {
    let (world, alice) = world();
    let own = alice["access_token"].as_str().unwrap();
    let public = issue(&world, &alice, "two");
    assert!(!verifies_elsewhere(&world, own));
    let (header, claims) = (part(&public, 0), part(&public, 1));
    let same = signed(&world, &header, &claims);
    assert_eq!(verify(&world, &same, Some("two"))["active"], true);
    for (token, audience) in [
        (own, Some("two")),
        (public.as_str(), None),
        (public.as_str(), Some("user-auth")),
        (alice["refresh_token"].as_str().unwrap(), Some("two")),
    ] {
        let verified = verify(&world, token, audience);
        assert_eq!(
            verified,
            json!({"active": false}),
            "{token} for {audience:?}"
        );
    }
    for kind in [
        "JWT",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "client-authentication+jwt",
        "logout+jwt",
        "AT+JWT",
        "",
    ] {
        let mut header = header.clone();
        header["typ"] = kind.into();
        let token = signed(&world, &header, &claims);
        let verified = verify(&world, &token, Some("two"));
        assert_eq!(verified, json!({"active": false}), "{kind}");
    }
    // The claims of the service's own tokens, under the published key.
    let mut claims = part(own, 1);
    for audience in ["two", "user-auth"] {
        claims["aud"] = audience.into();
        let token = signed(&world, &header, &claims);
        for asked in [None, Some("two")] {
            assert_eq!(verify(&world, &token, asked), json!({"active": false}));
        }
    }
    let logout = world.run("logout", json!({"access_token": public}));
    assert_eq!(logout, Err(-32001));
}

/// Attack 58.
#[test]
fn forged_headers_and_signatures_are_rejected() {
    let (world, alice) = world();
    let token = issue(&world, &alice, "two");
    let (header, claims) = (part(&token, 0), part(&token, 1));
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("EdDSA")),
        ("alg", json!("es256")),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("")),
        ("kid", json!(null)),
        ("jwk", keys(&world)[0].clone()),
        ("jku", json!("https://attacker.example/jwks")),
        ("x5u", json!("https://attacker.example/x5u")),
        ("x5c", json!([])),
        ("crit", json!([])),
    ] {
        let mut header = header.clone();
        header[name] = value;
        let forged = signed(&world, &header, &claims);
        let verified = verify(&world, &forged, Some("two"));
        assert_eq!(verified, json!({"active": false}), "{header}");
    }
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut with_high_s = signature.clone();
    let s: [u8; 32] = signature[32..].try_into().unwrap();
    let s = Option::<p256::NonZeroScalar>::from(p256::NonZeroScalar::from_repr(s.into())).unwrap();
    with_high_s[32..].copy_from_slice(&(-s).to_bytes());
    for forged in [vec![], vec![0; 64], signature[..63].to_vec(), with_high_s] {
        let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode(forged));
        let verified = verify(&world, &forged, Some("two"));
        assert_eq!(verified, json!({"active": false}), "{forged}");
    }
    // HS256 under the public key as text.
    let jwk = keys(&world)[0].to_string();
    let mut header = header;
    header["alg"] = "HS256".into();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(&header), encode(&claims));
    let mac = crate::component::builtin::hmac_sha256(jwk.as_bytes(), input.as_bytes());
    let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac));
    for audience in [None, Some("two")] {
        assert_eq!(verify(&world, &forged, audience), json!({"active": false}));
    }
}

#[test]
fn a_next_key_is_published_for_an_hour_and_the_previous_one_until_its_last_token_ends() {
    let (mut world, _) = world();
    world.settings.session_idle = std::time::Duration::from_secs(24 * HOUR);
    world.settings.access_token_ttl = std::time::Duration::from_secs(3 * HOUR);
    let input = json!({"username": "alice", "password": "correct horse battery staple"});
    let alice = world.run("login", input).unwrap();
    let before = issue(&world, &alice, "two");
    assert_eq!(keys(&world).len(), 1);

    assert_eq!(states(&rotate(&world, json!({}))), ["next", "signing"]);
    let waiting = keys(&world);
    assert_eq!(waiting.len(), 2);
    // A second rotation does not replace the key that others are learning.
    assert_eq!(states(&rotate(&world, json!({}))), ["next", "signing"]);
    assert_eq!(keys(&world), waiting);

    world.pass(HOUR - 1);
    let last = issue(&world, &alice, "two");
    assert_eq!(part(&last, 0)["kid"], part(&before, 0)["kid"]);
    world.pass(1);
    let after = issue(&world, &alice, "two");
    assert_eq!(part(&after, 0)["kid"], waiting[1]["kid"]);
    for token in [&before, &last, &after] {
        assert!(verifies_elsewhere(&world, token));
        assert_eq!(verify(&world, token, Some("two"))["active"], true);
    }

    // The last token lives three hours, and clocks differ by a minute.
    world.pass(3 * HOUR + 59);
    assert_eq!(keys(&world).len(), 2);
    world.pass(1);
    let left = keys(&world);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["kid"], part(&after, 0)["kid"]);
    assert!(!verifies_elsewhere(&world, &before));
}

#[test]
fn a_token_by_a_key_that_does_not_sign_yet_or_any_more_is_rejected() {
    let (mut world, _) = world();
    world.settings.session_idle = std::time::Duration::from_secs(24 * HOUR);
    let input = json!({"username": "alice", "password": "correct horse battery staple"});
    let alice = world.run("login", input).unwrap();
    let token = issue(&world, &alice, "two");
    let (header, mut claims) = (part(&token, 0), part(&token, 1));
    let end = claims["exp"].as_u64().unwrap() + 20 * HOUR;
    claims["exp"] = end.into();
    let next = rotate(&world, json!({}))["signing_keys"][0]["kid"].take();
    let mut by_next = header.clone();
    by_next["kid"] = next;
    let is_active = |header: &Value| {
        let forged = signed(&world, header, &claims);
        verify(&world, &forged, Some("two"))["active"] == true
    };
    assert!(is_active(&header) && !is_active(&by_next));
    world.pass(HOUR);
    assert!(is_active(&header) && is_active(&by_next));
    // The last token lives for fifteen minutes, and clocks differ by a minute.
    world.pass(15 * 60 + 60);
    assert!(!is_active(&header) && is_active(&by_next));
}

#[test]
fn ending_the_previous_keys_removes_them_from_the_key_set_at_once() {
    let (world, alice) = world();
    let token = issue(&world, &alice, "two");
    let ended = rotate(&world, json!({"end_previous": true}));
    assert_eq!(states(&ended), ["signing"]);
    assert!(!verifies_elsewhere(&world, &token));
    assert_eq!(
        verify(&world, &token, Some("two")),
        json!({"active": false})
    );
    let refresh = json!({"refresh_token": alice["refresh_token"]});
    let alice = world.run("refresh_token", refresh).unwrap();
    let token = issue(&world, &alice, "two");
    assert!(verifies_elsewhere(&world, &token));
    assert_eq!(verify(&world, &token, Some("two"))["active"], true);
}

#[test]
fn another_algorithm_is_published_for_an_hour_before_it_signs() {
    let (mut world, _) = world();
    world.settings.access_token_ttl = std::time::Duration::from_secs(3 * HOUR);
    let input = json!({"username": "alice", "password": "correct horse battery staple"});
    let alice = world.run("login", input).unwrap();
    let first = issue(&world, &alice, "two");
    world.settings.signing_algorithm = Algorithm::Eddsa;
    let second = issue(&world, &alice, "two");
    assert_eq!(part(&second, 0)["alg"], "ES256");
    assert_eq!(keys(&world).len(), 2);
    world.pass(HOUR);
    let third = issue(&world, &alice, "two");
    assert_eq!(part(&third, 0)["alg"], "EdDSA");
    for token in [&first, &second, &third] {
        assert_eq!(verify(&world, token, Some("two"))["active"], true);
        assert!(verifies_elsewhere(&world, token));
    }
}

#[test]
fn a_thumbprint_that_the_host_does_not_confirm_is_neither_published_nor_trusted() {
    let (world, alice) = world();
    let token = issue(&world, &alice, "two");
    let text = world.dump(SigningKeys::KEY);
    let kid = part(&token, 0)["kid"].as_str().unwrap().to_owned();
    let tampered = text.replace(&kid, &"A".repeat(43));
    world.tamper(SigningKeys::KEY, Some(tampered.into_bytes()));
    assert!(jwks::document(&world.call()).is_err());
    let mut header = part(&token, 0);
    header["kid"] = "A".repeat(43).into();
    let forged = signed(&world, &header, &part(&token, 1));
    assert_eq!(
        verify(&world, &forged, Some("two")),
        json!({"active": false})
    );
}
