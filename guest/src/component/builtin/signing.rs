//! Signs in the sandbox, with keys derived from a master key by the rules of the host, so
//! that both have the same keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key, VerifyingKey as Ed25519PublicKey};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey as Point, SecretKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::hmac_sha256;
use crate::ports::{Algorithm, KeyName, PublicKey, Signing, Unavailable};

/// The tag of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Signatures by keys that are derived by a function, which returns the HMAC-SHA256 of a
/// label under the master key.
pub struct Signatures<D>(pub D);

/// A private key.
enum Private {
    Es256(SecretKey),
    Eddsa(Ed25519Key),
}

/// A public key, by its type (RFC 7517 section 4.1) and its members.
#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: String, x: String },
}

impl<D: Fn(&str) -> Result<Zeroizing<[u8; 32]>, Unavailable>> Signing for Signatures<D> {
    fn public_keys(&self, keys: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable> {
        keys.iter()
            .map(|key| Ok(public(&self.private(key)?)))
            .collect()
    }

    fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Ok(match self.private(key)? {
            Private::Es256(secret) => {
                let signature: Signature = SigningKey::from(secret).sign(message);
                // One of the two valid forms, as the host: a token has one spelling.
                signature.normalize_s().to_bytes().to_vec()
            }
            Private::Eddsa(key) => key.sign(message).to_bytes().to_vec(),
        })
    }

    fn verify(
        &self,
        algorithm: Algorithm,
        jwk: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unavailable> {
        Ok(verify(algorithm, jwk, message, signature).is_some())
    }
}

impl<D: Fn(&str) -> Result<Zeroizing<[u8; 32]>, Unavailable>> Signatures<D> {
    fn private(&self, key: &KeyName) -> Result<Private, Unavailable> {
        let label = format!("host/signing/{}/{}", key.algorithm.name(), key.label);
        let derived = (self.0)(&label)?;
        let seed = |number| Zeroizing::new(hmac_sha256(derived.as_slice(), &[number]));
        match key.algorithm {
            Algorithm::Es256 => {
                let mut seeds = (0..=u8::MAX).map(seed);
                // The first seed that is in the range of scalars, so that all scalars are
                // equally likely.
                let secret = seeds.find_map(|seed| SecretKey::from_slice(&*seed).ok());
                let secret =
                    secret.ok_or_else(|| Unavailable::for_good("no seed is a scalar of P-256"))?;
                Ok(Private::Es256(secret))
            }
            Algorithm::Eddsa => Ok(Private::Eddsa(Ed25519Key::from_bytes(&seed(0)))),
            Algorithm::Rs256 => Err(Unavailable::for_good(
                "this build keeps no RSA keys; set USER_AUTH_SIGNING_ALGORITHM to es256 or eddsa",
            )),
        }
    }
}

fn public(key: &Private) -> PublicKey {
    let jwk = match key {
        Private::Es256(secret) => {
            let point = secret.public_key().to_sec1_point(false);
            // After the tag.
            let (x, y) = point.as_bytes()[1..].split_at(32);
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        Private::Eddsa(key) => {
            let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
        }
    };
    // RFC 7638 section 3: the members are the required ones, in alphabetical order.
    let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(&jwk));
    PublicKey { kid, jwk }
}

/// Returns something if this is the signature of the message under the key. The algorithm
/// decides which keys are considered, never the key or the message.
fn verify(algorithm: Algorithm, jwk: &str, message: &[u8], signature: &[u8]) -> Option<()> {
    let decode =
        |text: &str| -> Option<[u8; 32]> { URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok() };
    match (algorithm, serde_json::from_str(jwk).ok()?) {
        (Algorithm::Es256, Jwk::Ec { crv, x, y }) if crv == "P-256" => {
            let (x, y) = (decode(&x)?, decode(&y)?);
            let point = [&[UNCOMPRESSED][..], &x, &y].concat();
            let key = VerifyingKey::from(Point::from_sec1_bytes(&point).ok()?);
            let signature = Signature::from_slice(signature).ok()?;
            if signature.normalize_s() != signature {
                return None;
            }
            key.verify(message, &signature).ok()
        }
        (Algorithm::Eddsa, Jwk::Okp { crv, x }) if crv == "Ed25519" => {
            let key = Ed25519PublicKey::from_bytes(&decode(&x)?).ok()?;
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            key.verify_strict(message, &signature).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signatures() -> impl Signing {
        Signatures(|label: &str| Ok(Zeroizing::new(hmac_sha256(&[7; 32], label.as_bytes()))))
    }

    fn key(algorithm: Algorithm, label: &str) -> KeyName {
        let label = label.to_owned();
        KeyName { algorithm, label }
    }

    #[test]
    fn a_signature_verifies_under_the_public_key_only() {
        let signatures = signatures();
        for algorithm in [Algorithm::Es256, Algorithm::Eddsa] {
            let names = [key(algorithm, "a"), key(algorithm, "b")];
            let keys = signatures.public_keys(&names).unwrap();
            let [right, wrong] = keys.as_slice() else {
                panic!("two keys");
            };
            assert_eq!(right.kid.len(), 43);
            let signature = signatures.sign(&names[0], b"text").unwrap();
            let verify = |algorithm, jwk: &str, message: &[u8], signature: &[u8]| {
                signatures
                    .verify(algorithm, jwk, message, signature)
                    .unwrap()
            };
            assert!(verify(algorithm, &right.jwk, b"text", &signature));
            assert!(!verify(algorithm, &wrong.jwk, b"text", &signature));
            assert!(!verify(algorithm, &right.jwk, b"other", &signature));
            assert!(!verify(algorithm, &right.jwk, b"text", &[0; 64]));
            assert!(!verify(algorithm, &right.jwk, b"text", &signature[1..]));
            for other in [Algorithm::Es256, Algorithm::Eddsa, Algorithm::Rs256] {
                let is_valid = verify(other, &right.jwk, b"text", &signature);
                assert_eq!(is_valid, other == algorithm);
            }
            let other_curve = right.jwk.replace("P-256", "P-384");
            let other_curve = other_curve.replace("Ed25519", "Ed448");
            assert_ne!(other_curve, right.jwk);
            assert!(!verify(algorithm, &other_curve, b"text", &signature));
        }
    }

    /// The host has the same test: the keys are the same there.
    #[test]
    fn keys_are_derived_by_the_rules_of_the_host() {
        let names = [key(Algorithm::Es256, "a"), key(Algorithm::Eddsa, "a")];
        let keys = signatures().public_keys(&names).unwrap();
        let kids: Vec<&str> = keys.iter().map(|key| key.kid.as_str()).collect();
        assert_eq!(
            kids,
            [
                "eRztuH8Bqn9q8g7fRsYzjs1LtTCyay67cRwFMBt-sh8",
                "lmmt7FYzrOWyBKChXX6Ffv0GdfC2WFAFayosCWVgQ1k",
            ]
        );
    }

    #[test]
    fn keys_for_rs256_are_refused_with_what_to_set() {
        let names = [key(Algorithm::Rs256, "a")];
        let error = signatures().public_keys(&names).unwrap_err();
        assert!(error.reason.contains("USER_AUTH_SIGNING_ALGORITHM"));
    }
}
