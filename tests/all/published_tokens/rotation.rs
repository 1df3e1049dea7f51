//! Tokens before, during and after a rotation of the key, and after its end.

use serde_json::{Value, json};

use super::issuer::{ISSUER, Issuer, SERVICE, decode, with_claims};
use super::libraries::Library;

/// Four hours. The clocks of the libraries are right: the server's is behind, so that tokens
/// of the past are still valid.
const LIFETIME: (&str, &str) = ("USER_AUTH_ACCESS_TOKEN_TTL_SECONDS", "14400");

fn assert_all_accept(libraries: &mut [Library], token: &str) {
    for library in libraries {
        let claims = library.verify(token, SERVICE);
        let claims = claims.unwrap_or_else(|reason| panic!("{}: {reason}", library.name));
        assert_eq!(claims["iss"], ISSUER, "{}", library.name);
        assert_eq!(claims["aud"], SERVICE, "{}", library.name);
    }
}

fn assert_all_refuse(libraries: &mut [Library], token: &str) {
    for library in libraries {
        let claims = library.verify(token, SERVICE);
        assert!(claims.is_err(), "{}: {claims:?}", library.name);
    }
}

fn statuses(listed: &Value) -> Vec<&str> {
    let keys = listed["signing_keys"].as_array().unwrap().iter();
    let published = keys.filter(|key| key["alg"] != "HS256");
    published
        .map(|key| key["status"].as_str().unwrap())
        .collect()
}

fn kid(token: &str) -> Value {
    decode(token).0["kid"].take()
}

#[test]
fn libraries_accept_tokens_before_during_and_after_a_rotation_until_the_previous_key_ends() {
    let issuer = Issuer::start("-3h", &[LIFETIME]);
    let mut libraries = Library::all(&issuer);
    let before = issuer.issue(SERVICE);
    assert_all_accept(&mut libraries, &before);

    // The next key is known an hour before it signs.
    let rotated = issuer.operate(&["rotate_signing_key"]);
    assert_eq!(statuses(&rotated), ["next", "signing"]);
    let during = issuer.issue(SERVICE);
    assert_eq!(kid(&during), kid(&before));
    assert_eq!(issuer.keys().len(), 2);
    for token in [&before, &during] {
        assert_all_accept(&mut libraries, token);
    }

    issuer.clock.set("-1h");
    let after = issuer.issue(SERVICE);
    assert_ne!(kid(&after), kid(&before));
    for token in [&before, &during, &after] {
        assert_all_accept(&mut libraries, token);
        assert_eq!(issuer.verify(token, SERVICE)["active"], true);
    }

    // An hour, the lifetime of the last token and a minute after the rotation.
    issuer.clock.set("+122m");
    let keys = issuer.keys();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"], kid(&after));
    let mut restarted = Library::all(&issuer);
    for token in [&before, &during] {
        assert_all_refuse(&mut restarted, token);
    }
    assert_all_accept(&mut restarted, &after);
}

#[test]
fn libraries_refuse_tokens_whose_key_was_ended_and_accept_the_new_ones_at_once() {
    let issuer = Issuer::start("+0", &[]);
    let mut libraries = Library::all(&issuer);
    let before = issuer.issue(SERVICE);
    assert_all_accept(&mut libraries, &before);
    let ended = issuer.operate(&["rotate_signing_key", "end_previous=true"]);
    assert_eq!(statuses(&ended), ["signing"]);

    let refresh = json!({"refresh_token": issuer.session["refresh_token"]});
    let session = issuer.server.call("refresh_token", refresh).unwrap();
    let issuer = Issuer { session, ..issuer };
    let after = issuer.issue(SERVICE);
    assert_all_accept(&mut libraries, &after);
    assert_eq!(issuer.verify(&before, SERVICE), json!({"active": false}));
    assert_all_refuse(&mut Library::all(&issuer), &before);
}

#[test]
fn libraries_accept_tokens_of_every_algorithm() {
    for (setting, algorithm) in [("es256", "ES256"), ("eddsa", "EdDSA"), ("rs256", "RS256")] {
        let issuer = Issuer::start("+0", &[("USER_AUTH_SIGNING_ALGORITHM", setting)]);
        let token = issuer.issue(SERVICE);
        assert_eq!(decode(&token).0["alg"], algorithm);
        assert_eq!(issuer.verify(&token, SERVICE)["active"], true);
        let mut libraries = Library::all(&issuer);
        assert_all_accept(&mut libraries, &token);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, mut claims) = decode(&token);
        claims["sub"] = "0".repeat(32).into();
        for forged in [
            with_claims(&token, &claims),
            format!("{signed}."),
            format!("{signed}.{}", "A".repeat(signature.len())),
        ] {
            assert_ne!(forged, token);
            assert_all_refuse(&mut libraries, &forged);
        }
    }
}

#[test]
fn a_restored_store_has_its_rsa_key_and_libraries_accept_tokens_of_before() {
    let issuer = Issuer::start("+0", &[("USER_AUTH_SIGNING_ALGORITHM", "rs256")]);
    let before = issuer.issue(SERVICE);
    let keys = issuer.keys();
    let restored = issuer.restore();
    assert_eq!(restored.keys(), keys);
    let mut libraries = Library::all(&restored);
    let after = restored.issue(SERVICE);
    assert_eq!(kid(&after), kid(&before));
    for token in [&before, &after] {
        assert_eq!(restored.verify(token, SERVICE)["active"], true);
        assert_all_accept(&mut libraries, token);
    }
}
