//! A key pair: how it is derived, its public half and its signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::scalar::IsHigh as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{NonZeroScalar, SecretKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::signing_input::SigningInput;
use super::{Algorithm, SigningError};
use crate::keys::label::Label;
use crate::keys::store_keys::StoreKeys;

/// Length of a coordinate and of a scalar of P-256 in bytes.
const P256_BYTES: usize = 32;

/// A private key with its public half.
pub(super) struct KeyPair {
    private: Private,
    public: PublicKey,
}

enum Private {
    Es256(EcdsaKeyPair),
    Eddsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// The thumbprint (RFC 7638).
    pub(crate) kid: String,
    /// The JSON Web Key with the members that the thumbprint covers.
    pub(crate) jwk: String,
}

impl PublicKey {
    /// Returns the key with these members, whose names are in alphabetical order as RFC
    /// 7638 section 3.3 requires. None of the values needs an escape in JSON.
    fn new(members: &[(&str, &str)]) -> Self {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        let jwk = format!("{{{}}}", members.join(","));
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(&jwk));
        Self { kid, jwk }
    }
}

impl KeyPair {
    /// Derives the key with a label for ES256. The scalar is the first of a sequence of
    /// codes that is in the range of scalars, so all scalars are equally likely.
    pub(super) fn es256(keys: &StoreKeys, label: Label<'_>) -> Result<Self, SigningError> {
        let secret = keys
            .signing_seeds(Algorithm::Es256.name(), label)
            .find_map(|seed| SecretKey::from_slice(&*seed).ok())
            .ok_or_else(|| not_created("no seed is a scalar of P-256"))?;
        let point = secret.public_key().to_sec1_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else {
            return Err(not_created("the public key is the point at infinity"));
        };
        let public = PublicKey::new(&[
            ("crv", "P-256"),
            ("kty", "EC"),
            ("x", &URL_SAFE_NO_PAD.encode(x)),
            ("y", &URL_SAFE_NO_PAD.encode(y)),
        ]);
        let scalar = Zeroizing::new(<[u8; P256_BYTES]>::from(secret.to_bytes()));
        let private = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &*scalar,
            point.as_bytes(),
            &SystemRandom::new(),
        )
        .map_err(not_created)?;
        Ok(Self {
            private: Private::Es256(private),
            public,
        })
    }

    /// Derives the key with a label for Ed25519.
    pub(super) fn eddsa(keys: &StoreKeys, label: Label<'_>) -> Result<Self, SigningError> {
        let mut seeds = keys.signing_seeds(Algorithm::Eddsa.name(), label);
        let pair = seeds
            .next()
            .and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&*seed).ok())
            .ok_or_else(|| not_created("the seed was rejected"))?;
        let public = PublicKey::new(&[
            ("crv", "Ed25519"),
            ("kty", "OKP"),
            ("x", &URL_SAFE_NO_PAD.encode(pair.public_key())),
        ]);
        Ok(Self {
            private: Private::Eddsa(pair),
            public,
        })
    }

    /// Reads an RSA key in PKCS #1 DER.
    pub(super) fn rs256(der: &[u8]) -> Result<Self, SigningError> {
        let pair = RsaKeyPair::from_der(der).map_err(not_created)?;
        let numbers: PublicKeyComponents<Vec<u8>> = pair.public().into();
        let public = PublicKey::new(&[
            ("e", &URL_SAFE_NO_PAD.encode(numbers.e)),
            ("kty", "RSA"),
            ("n", &URL_SAFE_NO_PAD.encode(numbers.n)),
        ]);
        Ok(Self {
            private: Private::Rs256(pair),
            public,
        })
    }

    /// Returns the public half.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs.
    pub(super) fn sign(&self, input: SigningInput<'_>) -> Result<Vec<u8>, SigningError> {
        let message = input.as_bytes();
        let random = SystemRandom::new();
        match &self.private {
            Private::Es256(pair) => {
                let signature = pair.sign(&random, message);
                let signature = signature.map_err(|_| SigningError::Random)?;
                Ok(with_low_s(signature.as_ref()))
            }
            Private::Eddsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Private::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| SigningError::Random)?;
                Ok(signature)
            }
        }
    }
}

/// Returns the signature by ECDSA with S in the lower half of its range. Both S and its
/// negation are valid, and `ring` returns either: with one of them only, each token has
/// exactly one spelling.
fn with_low_s(signature: &[u8]) -> Vec<u8> {
    let mut signature = signature.to_vec();
    if let Some(s) = high_s(&signature) {
        let negated = <[u8; P256_BYTES]>::from((-s).to_bytes());
        signature[P256_BYTES..].copy_from_slice(&negated);
    }
    signature
}

/// Returns S of a signature by ECDSA if it is in the upper half of its range.
pub(super) fn high_s(signature: &[u8]) -> Option<NonZeroScalar> {
    let s: [u8; P256_BYTES] = signature.get(P256_BYTES..)?.try_into().ok()?;
    let s = Option::<NonZeroScalar>::from(NonZeroScalar::from_repr(s.into()))?;
    bool::from(s.is_high()).then_some(s)
}

fn not_created(reason: impl ToString) -> SigningError {
    SigningError::Created(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    #[test]
    fn a_kid_is_the_thumbprint_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = PublicKey::new(&[("e", "AQAB"), ("kty", "RSA"), ("n", n)]);
        assert_eq!(key.kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
