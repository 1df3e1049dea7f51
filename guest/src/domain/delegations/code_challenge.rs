//! The challenge that ties an authorization code to the program that asked for it (RFC
//! 7636, method S256).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a verifier, in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Parses a challenge (RFC 7636 section 4.2).
    pub fn parse(text: &str) -> Option<CodeChallenge> {
        let mut digest = [0; 32];
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut digest);
        (decoded == Ok(32)).then(|| CodeChallenge(text.to_owned()))
    }

    /// Reports whether this is the challenge of a verifier, which has 43 to 128 characters
    /// (section 4.1).
    pub fn is_of(&self, verifier: &str) -> bool {
        let is_of_verifier = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_verifier =
            (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_of_verifier);
        let shown = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        is_verifier && bool::from(self.0.as_bytes().ct_eq(shown.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verifier_of_appendix_b_answers_its_challenge() {
        let text = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let challenge = CodeChallenge::parse(text).unwrap();
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(challenge.is_of(verifier));
        for wrong in ["", text, &verifier[1..], "a".repeat(43).as_str()] {
            assert!(!challenge.is_of(wrong), "{wrong}");
        }
        let short = URL_SAFE_NO_PAD.encode(Sha256::digest("short"));
        let short = CodeChallenge::parse(&short).unwrap();
        assert!(!short.is_of("short"));
        for wrong in [
            "",
            "abc",
            &text[1..],
            &format!("{text}a"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
        ] {
            assert!(CodeChallenge::parse(wrong).is_none(), "{wrong}");
        }
    }
}
