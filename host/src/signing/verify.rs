//! Verification of a signature under a public key in the form of a JSON Web Key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde::Deserialize;

use super::Algorithm;
use super::key_pair::high_s;

/// The tag of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public key, by its type (RFC 7517 section 4.1) and its members.
#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: String, x: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

/// Returns whether this is the signature of the message under the key. The algorithm
/// decides which keys are considered, never the key or the message.
pub(crate) fn verify(algorithm: Algorithm, jwk: &str, message: &[u8], signature: &[u8]) -> bool {
    let Ok(jwk) = serde_json::from_str::<Jwk>(jwk) else {
        return false;
    };
    is_valid(algorithm, &jwk, message, signature).unwrap_or(false)
}

fn is_valid(algorithm: Algorithm, jwk: &Jwk, message: &[u8], signature: &[u8]) -> Option<bool> {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let verified = match (algorithm, jwk) {
        (Algorithm::Es256, Jwk::Ec { crv, x, y }) if crv == "P-256" => {
            let (x, y) = (decode(x)?, decode(y)?);
            // A short coordinate must not borrow from the other.
            if x.len() != 32 || y.len() != 32 || high_s(signature).is_some() {
                return None;
            }
            let point = [&[UNCOMPRESSED], x.as_slice(), &y].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        (Algorithm::Eddsa, Jwk::Okp { crv, x }) if crv == "Ed25519" => {
            UnparsedPublicKey::new(&ED25519, decode(x)?).verify(message, signature)
        }
        (Algorithm::Rs256, Jwk::Rsa { n, e }) => {
            let key = PublicKeyComponents {
                n: decode(n)?,
                e: decode(e)?,
            };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        }
        _ => return None,
    };
    Some(verified.is_ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        base16ct::lower::decode_vec(text).unwrap()
    }

    /// RFC 7515 appendix A.3, whose signature has S in the upper half.
    const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const MESSAGE: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    /// The order of P-256.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    fn negated(s: &[u8]) -> Vec<u8> {
        let order = hex(ORDER);
        let mut borrow = 0_i16;
        let mut out = vec![0; 32];
        for index in (0..32).rev() {
            let digit = i16::from(order[index]) - i16::from(s[index]) - borrow;
            borrow = i16::from(digit < 0);
            out[index] = digit.rem_euclid(256) as u8;
        }
        out
    }

    /// Returns the signature of the RFC, and its other form, with S in the lower half.
    fn high_and_low() -> [Vec<u8>; 2] {
        let high = URL_SAFE_NO_PAD.decode(SIGNATURE).unwrap();
        let low = [&high[..32], &negated(&high[32..])].concat();
        [high, low]
    }

    #[test]
    fn of_the_two_forms_of_an_ecdsa_signature_the_one_with_low_s_is_valid() {
        let valid = high_and_low()
            .map(|signature| verify(Algorithm::Es256, JWK, MESSAGE.as_bytes(), &signature));
        assert_eq!(valid, [false, true]);
    }

    #[test]
    fn zero_and_misshapen_signatures_and_keys_of_another_kind_are_invalid() {
        let [_, signature] = high_and_low();
        let verify = |jwk: &str, signature: &[u8]| {
            verify(Algorithm::Es256, jwk, MESSAGE.as_bytes(), signature)
        };
        assert!(verify(JWK, &signature));
        for wrong in [vec![0; 64], vec![0; 63], Vec::new(), signature.repeat(2)] {
            assert!(!verify(JWK, &wrong));
        }
        let order = hex(ORDER);
        assert!(!verify(JWK, &[order.as_slice(), &order].concat()));
        for (name, value) in [
            ("crv", json!("P-384")),
            ("kty", json!("RSA")),
            ("x", json!("")),
            ("y", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
            ("y", json!(null)),
        ] {
            let mut jwk: Value = serde_json::from_str(JWK).unwrap();
            jwk[name] = value;
            assert!(!verify(&jwk.to_string(), &signature), "{jwk}");
        }
        // The same 64 bytes, divided elsewhere.
        let mut jwk: Value = serde_json::from_str(JWK).unwrap();
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [bytes("x"), bytes("y")].concat();
        for (name, half) in [("x", &point[..31]), ("y", &point[31..])] {
            jwk[name] = URL_SAFE_NO_PAD.encode(half).into();
        }
        assert!(!verify(&jwk.to_string(), &signature), "{jwk}");
    }
}
