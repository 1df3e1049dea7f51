//! Rejection of tokens that are not valid access tokens of this service.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::domain::call::Call;
use crate::domain::caller::{Caller, Principal, Source};
use crate::domain::sessions::signing_key::SigningKeys;
use crate::testing::{self, World};
use crate::types::secret::Secret;

fn verify(world: &World, token: &str) -> Value {
    world.run("verify_token", json!({"token": token})).unwrap()
}

fn inactive() -> Value {
    json!({"active": false})
}

/// Returns the id of the current signing key.
fn kid(world: &World) -> String {
    let keys = SigningKeys::load(&world.call()).unwrap();
    keys.current().unwrap().kid.to_string()
}

/// Returns a token with this header and these claims, signed with our own key.
fn signed(world: &World, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = world.key(&format!("access-token/{}", kid(world)));
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
fn tokens_with_any_bit_flipped_are_rejected() {
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
fn foreign_headers_are_rejected_even_with_a_valid_signature() {
    let world = World::new();
    let tokens = world.alice();
    let (header, claims) = parts(tokens["access_token"].as_str().unwrap());
    assert_eq!(
        verify(&world, &signed(&world, &header, &claims))["active"],
        true
    );
    for header in [
        r#"{"alg":"none","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"None","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"HS384","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"RS256","typ":"at+jwt","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"2"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"../../1"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"KID","crit":["x"]}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"KID","jku":"https://example.com"}"#,
        r#"{"alg":"HS256","typ":"at+jwt","kid":"KID","jwk":{}}"#,
        r#"{"alg":"none","alg":"HS256","typ":"at+jwt","kid":"KID"}"#,
        "",
    ] {
        let header = &header.replace("KID", &kid(&world));
        assert_eq!(
            verify(&world, &signed(&world, header, &claims)),
            inactive(),
            "{header}"
        );
    }
}

#[test]
fn claims_of_the_wrong_type_are_rejected() {
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
fn tokens_in_other_spellings_are_rejected() {
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
fn arbitrary_texts_are_reported_as_inactive_tokens() {
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
            &r#"{"alg":"HS256","typ":"at+jwt","kid":"KID"}"#.replace("KID", &kid(&world)),
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

#[test]
fn tokens_signed_with_a_derivable_but_unregistered_key_are_rejected() {
    let world = World::new();
    let tokens = world.alice();
    let (header, claims) = parts(tokens["access_token"].as_str().unwrap());
    let other = "00112233445566778899aabbccddeeff";
    let header = header.replace(&kid(&world), other);
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = world.key(&format!("access-token/{other}"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let token = format!("{signed}.{signature}");
    assert_eq!(verify(&world, &token), inactive());
    let answer = world.run("logout", json!({"access_token": token}));
    assert_eq!(answer, Err(-32001));
}

fn operator(world: &World, operation: &str, input: Value) -> Value {
    world.run_as(Principal::Operator, operation, input).unwrap()
}

/// Returns the states of the keys for tokens for the service itself.
fn statuses(keys: &Value) -> Vec<&str> {
    let keys = keys["signing_keys"].as_array().unwrap();
    keys.iter()
        .filter(|key| key["alg"] == "HS256")
        .map(|key| key["status"].as_str().unwrap())
        .collect()
}

#[test]
fn a_rotated_key_verifies_until_its_last_token_expires() {
    let world = World::new();
    let before = world.alice();
    let first = kid(&world);
    let keys = operator(&world, "rotate_signing_key", json!({}));
    assert_eq!(statuses(&keys), ["signing", "verifying"]);
    assert_ne!(kid(&world), first);

    world.pass(15 * 60 - 1);
    let token = before["access_token"].as_str().unwrap();
    assert_eq!(verify(&world, token)["active"], true);
    let after = world
        .run(
            "refresh_token",
            json!({"refresh_token": before["refresh_token"]}),
        )
        .unwrap();
    let (header, _) = parts(after["access_token"].as_str().unwrap());
    assert!(header.contains(&kid(&world)), "{header}");

    world.pass(1);
    let keys = operator(&world, "list_signing_keys", json!({}));
    assert_eq!(statuses(&keys), ["signing", "retired"]);
    assert_eq!(keys["signing_keys"][0]["age_seconds"], 15 * 60);
    assert_eq!(
        verify(&world, after["access_token"].as_str().unwrap())["active"],
        true
    );
    // A token of a retired key may still do what an expired token may do.
    let answer = world.run("logout", json!({"access_token": token}));
    assert!(answer.is_ok());
}

#[test]
fn tokens_of_a_retired_key_are_rejected_before_they_expire() {
    let world = World::new();
    let tokens = world.alice();
    let (header, claims) = parts(tokens["access_token"].as_str().unwrap());
    let mut claims: Value = serde_json::from_str(&claims).unwrap();
    claims["exp"] = json!(9_999_999_999_u64);
    let token = signed(&world, &header, &claims.to_string());
    assert_eq!(verify(&world, &token)["active"], true);
    operator(&world, "rotate_signing_key", json!({}));
    world.pass(15 * 60);
    assert_eq!(verify(&world, &token), inactive());
}

#[test]
fn ending_signing_keys_invalidates_their_tokens_but_keeps_the_sessions() {
    let world = World::new();
    let tokens = world.alice();
    let keys = operator(&world, "rotate_signing_key", json!({"end_previous": true}));
    assert_eq!(statuses(&keys), ["signing"]);
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(verify(&world, token), inactive());
    // The holder of a leaked key must not be able to end sessions with it.
    let answer = world.run("logout", json!({"access_token": token}));
    assert_eq!(answer, Err(-32001));
    let answer = world.run("revoke_token", json!({"token": token}));
    assert_eq!(answer, Ok(json!({})));
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    assert!(world.run("refresh_token", refresh).is_ok());
}

#[test]
fn managing_signing_keys_requires_a_permission_and_rotation_is_audited() {
    let world = World::new();
    let alice = world.alice();
    for operation in ["list_signing_keys", "rotate_signing_key"] {
        let input = json!({"access_token": alice["access_token"]});
        assert_eq!(world.run(operation, input), Err(-32002), "{operation}");
        assert_eq!(world.run(operation, json!({})), Err(-32001), "{operation}");
    }
    for _ in 0..30 {
        world.pass(60);
        operator(&world, "rotate_signing_key", json!({}));
    }
    let keys = operator(&world, "list_signing_keys", json!({}));
    assert_eq!(statuses(&keys).len(), 20);
    let shared = "0".repeat(32);
    let trail = operator(&world, "verify_audit_chain", json!({"user_id": shared}));
    assert_eq!(
        (&trail["intact"], &trail["examined"]),
        (&json!(true), &json!(30))
    );
}

#[test]
fn a_token_for_another_service_is_valid_only_there() {
    let mut world = World::new();
    world.settings.other_audiences = vec!["billing".to_owned()];
    let alice = world.alice();
    let caller = &alice["access_token"];
    let input = json!({"audience": "billing", "access_token": caller});
    let issued = world.run("issue_token", input).unwrap();
    let token = &issued["access_token"];
    assert_eq!(issued["expires_in"], 15 * 60);

    let at = |audience: Option<&str>| {
        let input = json!({"token": token, "audience": audience});
        let verified = world.run("verify_token", input.clone()).unwrap();
        let introspected = world.run_as(Principal::Operator, "introspect_token", input);
        assert_eq!(introspected.unwrap()["active"], verified["active"]);
        verified
    };
    assert_eq!(at(Some("billing"))["aud"], "billing");
    for other in [None, Some("user-auth"), Some("Billing"), Some("")] {
        assert_eq!(at(other), inactive(), "{other:?}");
    }
    let own = json!({"token": caller, "audience": "billing"});
    assert_eq!(world.run("verify_token", own), Ok(inactive()));

    // The service that receives the token cannot use it here.
    for operation in ["get_session", "list_sessions", "revoke_other_sessions"] {
        let answer = world.run(operation, json!({"access_token": token}));
        assert_eq!(answer, Err(-32001), "{operation}");
    }
    let answer = world.run("logout", json!({"access_token": token}));
    assert_eq!(answer, Err(-32001));
    world.run("revoke_token", json!({"token": token})).unwrap();
    assert_eq!(at(Some("billing"))["active"], true);

    world
        .run("logout", json!({"access_token": caller}))
        .unwrap();
    assert_eq!(at(Some("billing")), inactive());
}

#[test]
fn a_rotation_ends_no_token_before_it_expires() {
    let world = World::new();
    let alice = world.alice();
    let token = alice["access_token"].as_str().unwrap();
    for _ in 0..19 {
        operator(&world, "rotate_signing_key", json!({}));
    }
    let before = world.dump("");
    let rotate = |input| world.run_as(Principal::Operator, "rotate_signing_key", input);
    assert_eq!(rotate(json!({})), Err(-32000));
    assert_eq!(world.dump(""), before);
    assert_eq!(verify(&world, token)["active"], true);

    let error = testing::invoke(
        "rotate_signing_key",
        json!({}),
        &Call {
            caller: &Caller {
                principal: Principal::Operator,
                source: Source::from_peer(None),
            },
            ..world.call()
        },
    );
    let details = error.unwrap_err().details();
    assert_eq!(details["next_retires_at"], "2026-07-28T09:15:00.000Z");

    world.pass(15 * 60 - 1);
    assert_eq!(rotate(json!({})), Err(-32000));
    assert_eq!(verify(&world, token)["active"], true);
    world.pass(1);
    let keys = rotate(json!({})).unwrap();
    assert_eq!(statuses(&keys).len(), 20);

    for _ in 0..18 {
        operator(&world, "rotate_signing_key", json!({}));
    }
    assert_eq!(rotate(json!({})), Err(-32000));
    let ended = rotate(json!({"end_previous": true})).unwrap();
    assert_eq!(statuses(&ended), ["signing"], "after a leak nothing waits");
}

#[test]
fn a_service_can_check_permissions_with_a_token_issued_for_it() {
    let mut world = World::new();
    world.settings.other_audiences = vec!["billing".to_owned()];
    let alice = world.alice();
    let role = json!({"role": "clerk", "permissions": ["invoices:read"]});
    operator(&world, "define_role", role);
    let input = json!({"username": "alice", "role": "clerk"});
    let user_id = operator(&world, "assign_role", input)["user_id"].clone();
    let own = &alice["access_token"];
    let input = json!({"audience": "billing", "access_token": own});
    let issued = world.run("issue_token", input).unwrap()["access_token"].clone();

    let no_subject = json!({"allowed": false});
    for (token, audience, permission, expected) in [
        (
            &issued,
            Some("billing"),
            "invoices:read",
            json!({"allowed": true, "sub": user_id}),
        ),
        (
            &issued,
            Some("billing"),
            "invoices:write",
            json!({"allowed": false, "sub": user_id}),
        ),
        (&issued, None, "invoices:read", no_subject.clone()),
        (
            &issued,
            Some("user-auth"),
            "invoices:read",
            no_subject.clone(),
        ),
        (&issued, Some(""), "invoices:read", no_subject.clone()),
        (own, Some("billing"), "invoices:read", no_subject.clone()),
        (
            own,
            Some("user-auth"),
            "invoices:read",
            json!({"allowed": true, "sub": user_id}),
        ),
    ] {
        let input = json!({"permission": permission, "token": token, "audience": audience});
        let answer = world.run("check_permission", input);
        assert_eq!(answer, Ok(expected), "{audience:?} {permission}");
    }

    // The caller's own credential is not checked as a token for another audience.
    let input = json!({"permission": "invoices:read", "audience": "billing"});
    let caller = Principal::AccessToken(Secret::new(issued.as_str().unwrap().to_owned()));
    let answer = world.run_as(caller, "check_permission", input);
    assert_eq!(answer, Err(-32000));

    world.run("logout", json!({"access_token": own})).unwrap();
    let input = json!({"permission": "invoices:read", "token": issued, "audience": "billing"});
    assert_eq!(world.run("check_permission", input), Ok(no_subject));
}

#[test]
fn tokens_are_issued_only_for_configured_services() {
    let mut world = World::new();
    let alice = world.alice();
    let input = json!({"audience": "billing", "access_token": alice["access_token"]});
    assert_eq!(world.run("issue_token", input.clone()), Err(-32000));
    world.settings.other_audiences = vec!["shipping".to_owned()];
    assert_eq!(world.run("issue_token", input), Err(-32000));
}
