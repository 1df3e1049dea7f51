//! Access tokens that must be rejected.
//!
//! The tests know the master key, so a forged token can carry a valid signature and is then
//! rejected for its content.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use user_auth_tests::{Options, Server, command, folder};

const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

struct Forge {
    server: Server,
    tokens: Value,
    header: Value,
    claims: Value,
}

impl Forge {
    fn new() -> Forge {
        let server = Options::new()
            .store("memory")
            .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
            .start();
        Forge::of(server.new_session("alice"), server)
    }

    fn of(tokens: Value, server: Server) -> Forge {
        let token = tokens["access_token"].as_str().unwrap();
        let mut parts = token.split('.').map(|part| {
            let json = URL_SAFE_NO_PAD.decode(part).unwrap();
            serde_json::from_slice(&json).unwrap_or(Value::Null)
        });
        let forge = Forge {
            header: parts.next().unwrap(),
            claims: parts.next().unwrap(),
            server,
            tokens,
        };
        // Rejections below are caused by the change alone.
        assert!(forge.is_active(&forge.sign(&forge.header, &forge.claims)));
        forge
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let kid = self.header["kid"].as_str().unwrap();
        self.sign_by(kid, &signed)
    }

    /// Any signing key can be derived, whether the server ever created it or not.
    fn sign_by(&self, kid: &str, signed: &str) -> String {
        let key = hmac(&[7; 32], format!("access-token/{kid}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(hmac(&key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.header.clone();
        header[name] = value;
        self.sign(&header, &self.claims)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.sign(&self.header, &claims)
    }

    fn verify(&self, token: &str) -> Value {
        self.server
            .call("verify_token", json!({"token": token}))
            .unwrap()
    }

    fn is_active(&self, token: &str) -> bool {
        self.verify(token)["active"] == true
    }

    /// Asserts that the server reveals nothing about the token and that no operation
    /// accepts it.
    fn assert_refused(&self, token: &str) {
        let shown: String = token.chars().take(200).collect();
        assert_eq!(self.verify(token), json!({"active": false}), "{shown}");
        let error = self
            .server
            .call("get_session", json!({"access_token": token}));
        assert_eq!(error.unwrap_err()["code"], -32001, "{shown}");
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn attack_01_a_token_without_an_algorithm_is_refused() {
    let forge = Forge::new();
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        let mut header = forge.header.clone();
        header["alg"] = json!(alg);
        let signed = forge.sign(&header, &forge.claims);
        forge.assert_refused(&signed);
        let (unsigned, _) = signed.rsplit_once('.').unwrap();
        forge.assert_refused(&format!("{unsigned}."));
        forge.assert_refused(unsigned);
    }
}

#[test]
fn attack_02_a_token_with_another_algorithm_is_refused() {
    let forge = Forge::new();
    for alg in ["HS384", "HS512", "RS256", "ES256", "hs256"] {
        forge.assert_refused(&forge.with_header("alg", json!(alg)));
    }
}

#[test]
fn attack_03_a_token_with_an_unknown_key_id_is_refused() {
    let forge = Forge::new();
    for kid in [
        json!("2"),
        json!("0"),
        json!(""),
        json!("../../etc/passwd"),
        json!("1' OR '1'='1"),
        json!(1),
        json!(null),
    ] {
        forge.assert_refused(&forge.with_header("kid", kid));
    }
    let mut header = forge.header.clone();
    header.as_object_mut().unwrap().remove("kid");
    forge.assert_refused(&forge.sign(&header, &forge.claims));

    let never_made = "00112233445566778899aabbccddeeff";
    let token = forge.with_header("kid", json!(never_made));
    forge.assert_refused(&token);
    let (signed, _) = token.rsplit_once('.').unwrap();
    forge.assert_refused(&forge.sign_by(never_made, signed));
}

#[test]
fn attack_03_a_token_with_a_retired_key_id_is_refused() {
    let home = folder();
    let server = Options::new()
        .home(home.path())
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .start();
    let before = Forge::of(server.new_session("alice"), server);
    let kept = before.with_claim("exp", json!(9_999_999_999_u64));
    assert!(before.is_active(&kept));
    let rotated = command(home.path())
        .env("USER_AUTH_MASTER_KEY", MASTER_KEY)
        .args(["call", "rotate_signing_key", "end_previous=true"])
        .output()
        .unwrap();
    assert!(rotated.status.success(), "{rotated:?}");

    before.assert_refused(&kept);
    before.assert_refused(&before.sign(&before.header, &before.claims));
    // The session continues under the new key.
    let refresh = json!({"refresh_token": before.tokens["refresh_token"]});
    let tokens = before.server.call("refresh_token", refresh).unwrap();
    assert!(before.is_active(tokens["access_token"].as_str().unwrap()));
}

#[test]
fn attack_04_tokens_with_keys_in_their_headers_are_refused() {
    let forge = Forge::new();
    for (name, value) in [
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/cert")),
        ("jwk", json!({"kty": "oct", "k": "BwcH"})),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        forge.assert_refused(&forge.with_header(name, value));
    }
}

#[test]
fn attack_05_times_of_the_wrong_type_are_refused() {
    let forge = Forge::new();
    let exp = forge.claims["exp"].as_u64().unwrap();
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!(exp.to_string()),
            json!(null),
            json!(exp as f64 + 0.5),
            json!(-1),
            json!([exp]),
            json!(true),
        ] {
            forge.assert_refused(&forge.with_claim(name, value));
        }
    }
    let too_large = forge
        .claims
        .to_string()
        .replace(&exp.to_string(), "18446744073709551616");
    forge.assert_refused(&forge.sign_text(&forge.header.to_string(), &too_large));
    forge.assert_refused(&forge.with_claim("nbf", json!(9_223_372_036_854_775_808_u64)));
    forge.assert_refused(&forge.with_claim("exp", json!(0)));
}

#[test]
fn attack_06_tokens_with_missing_claims_are_refused() {
    let forge = Forge::new();
    for name in ["exp", "nbf", "iat", "aud", "iss", "sub", "sid", "jti"] {
        let mut claims = forge.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        forge.assert_refused(&forge.sign(&forge.header, &claims));
    }
}

#[test]
fn attack_07_one_kind_of_token_is_not_accepted_as_another() {
    let forge = Forge::new();
    forge.assert_refused(forge.tokens["refresh_token"].as_str().unwrap());
    let refresh = json!({"refresh_token": forge.tokens["access_token"]});
    let error = forge.server.call("refresh_token", refresh).unwrap_err();
    assert_eq!(error["code"], -32001);
    assert!(forge.is_active(forge.tokens["access_token"].as_str().unwrap()));
}

#[test]
fn attack_08_a_token_for_another_audience_is_refused() {
    let forge = Forge::new();
    for aud in [
        json!("another"),
        json!(""),
        json!(["user-auth"]),
        json!("user-auth "),
    ] {
        forge.assert_refused(&forge.with_claim("aud", aud));
    }
    forge.assert_refused(&forge.with_claim("iss", json!("another")));
}

#[test]
fn attack_08_a_token_issued_for_another_service_is_refused() {
    let server = Options::new()
        .env("USER_AUTH_OTHER_AUDIENCES", "billing, shipping")
        .start();
    let tokens = server.new_session("alice");
    let input = json!({"audience": "billing", "access_token": tokens["access_token"]});
    let issued = server.call("issue_token", input).unwrap();
    let token = &issued["access_token"];
    let active = |audience: Option<&str>| {
        let input = json!({"token": token, "audience": audience});
        server.call("verify_token", input).unwrap()["active"] == true
    };
    assert!(active(Some("billing")));
    assert!(!active(Some("shipping")));
    assert!(!active(None));
    let answer = server.call("get_session", json!({"access_token": token}));
    assert_eq!(answer.unwrap_err()["code"], -32001);
}

#[test]
fn attack_09_tokens_with_duplicate_keys_are_refused() {
    let forge = Forge::new();
    let header = forge.header.to_string();
    let claims = forge.claims.to_string();
    for twice in [
        r#""exp":9999999999"#,
        r#""sub":"00000000000000000000000000000000""#,
    ] {
        let first = claims.replacen('{', &format!("{{{twice},"), 1);
        forge.assert_refused(&forge.sign_text(&header, &first));
        let last = format!("{},{twice}}}", &claims[..claims.len() - 1]);
        forge.assert_refused(&forge.sign_text(&header, &last));
    }
    let twice = header.replacen('{', r#"{"alg":"none","#, 1);
    forge.assert_refused(&forge.sign_text(&twice, &claims));
}

#[test]
fn attack_10_other_spellings_of_a_valid_token_are_refused() {
    let forge = Forge::new();
    let token = forge.tokens["access_token"].as_str().unwrap();
    let [header, claims, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().unwrap();
    for spelling in [
        format!("{token}="),
        format!("{header}=.{claims}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{header}.\n{claims}.{signature}"),
        format!("{header}..{claims}.{signature}"),
        format!("{token}.{signature}"),
        token.replace('_', "/").replace('-', "+") + "/",
        trailing_bits(token),
    ] {
        forge.assert_refused(&spelling);
    }
}

/// Sets an unused bit in the last character of the signature, which a lenient decoder would
/// read as the same bytes.
fn trailing_bits(token: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = token.as_bytes().to_vec();
    let last = bytes.len() - 1;
    let value = ALPHABET.iter().position(|c| *c == bytes[last]).unwrap();
    bytes[last] = ALPHABET[value | 1];
    assert_ne!(bytes[last], token.as_bytes()[last]);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn attack_11_oversized_tokens_are_refused() {
    let forge = Forge::new();
    forge.assert_refused(&"a".repeat(1_000_000));
    forge.assert_refused(&format!(
        "{}.{}.c",
        "a".repeat(500_000),
        "b".repeat(499_000)
    ));
    forge.assert_refused(&".".repeat(1_000_000));
    let nested = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    forge.assert_refused(&forge.sign_text(&forge.header.to_string(), &nested));
    forge.assert_refused(&forge.sign_text(&nested, &forge.claims.to_string()));
    assert!(forge.is_active(forge.tokens["access_token"].as_str().unwrap()));
}

#[test]
fn attack_12_a_token_with_any_bit_flipped_is_refused() {
    let forge = Forge::new();
    let token = forge.tokens["access_token"].as_str().unwrap();
    let mut flipped = Vec::new();
    for index in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[index] ^= 1 << bit;
            flipped.push(String::from_utf8(bytes).unwrap());
        }
    }
    // There are some thousands of them, so they are sent in batches.
    for tokens in flipped.chunks(64) {
        let batch: Vec<Value> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| {
                let params =
                    json!({"name": "user-auth_verify_token", "arguments": {"token": token}});
                json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
            })
            .collect();
        let answers = forge.server.post(&[], json!(batch).to_string()).json();
        for (answer, token) in answers.as_array().unwrap().iter().zip(tokens) {
            assert_eq!(
                answer["result"]["structuredContent"],
                json!({"active": false}),
                "{token}"
            );
        }
    }
}

#[test]
fn attack_16_an_inactive_token_reveals_nothing() {
    let forge = Forge::new();
    let logout = json!({"access_token": forge.tokens["access_token"]});
    let ended = forge.tokens["access_token"].as_str().unwrap();
    forge.server.call("logout", logout).unwrap();
    for token in [ended, &forge.with_claim("exp", json!(1)), "no token", ""] {
        assert_eq!(forge.verify(token), json!({"active": false}));
    }
}
