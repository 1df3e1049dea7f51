//! What the host signs: the header and payload of a JSON Web Signature, and nothing else.
//! A component that was taken over can still not have anything signed that is meant for
//! another protocol.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Algorithm;

/// Maximum length of what is signed.
const MAX_BYTES: usize = 64 * 1024;
/// The kinds of tokens that are signed: access tokens (RFC 9068), id tokens, logout tokens
/// and introspection responses (RFC 9701).
const TYPES: [&str; 4] = ["at+jwt", "JWT", "logout+jwt", "token-introspection+jwt"];

/// The signing input of a JSON Web Signature (RFC 7515 section 2).
#[derive(Clone, Copy)]
pub(super) struct SigningInput<'a>(&'a [u8]);

/// Reasons not to sign a message.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    #[error("a message to sign has {0} bytes; at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    #[error(
        "a message to sign is not a JWS header and payload: two JSON objects in base64url, \
         separated by a dot"
    )]
    Form,
    #[error("the header of a message to sign must have exactly the members alg, typ and kid")]
    Header,
    #[error("the alg or the kid of a message to sign is not that of the key")]
    Key,
    #[error("the typ of a message to sign is not one of {}", TYPES.join(", "))]
    Type,
}

/// The header. It allows exactly these members, so that `crit`, `jku`, `jwk` and the like
/// are never signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'a> SigningInput<'a> {
    /// Parses a message that is to be signed by the key with this algorithm and id.
    pub(super) fn parse(
        message: &'a [u8],
        algorithm: Algorithm,
        kid: &str,
    ) -> Result<Self, InputError> {
        if message.len() > MAX_BYTES {
            return Err(InputError::TooLong(message.len()));
        }
        let mut parts = message.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InputError::Form);
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| InputError::Form);
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| InputError::Header)?;
        if header.alg != algorithm.name() || header.kid != kid {
            return Err(InputError::Key);
        }
        if !TYPES.contains(&header.typ.as_str()) {
            return Err(InputError::Type);
        }
        let payload = decode(payload)?;
        serde_json::from_slice::<Map<String, Value>>(&payload).map_err(|_| InputError::Form)?;
        Ok(Self(message))
    }

    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: &str, payload: &str) -> Option<InputError> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(header), part(payload));
        SigningInput::parse(message.as_bytes(), Algorithm::Es256, "k").err()
    }

    #[test]
    fn only_the_signing_input_of_a_known_kind_of_token_is_signed() {
        let good = r#"{"alg":"ES256","typ":"at+jwt","kid":"k"}"#;
        assert_eq!(refused(good, r#"{"sub":"x"}"#), None);
        for (header, expected) in [
            (r#"{"alg":"ES256","kid":"k"}"#, InputError::Header),
            (r#"{"alg":"ES256","typ":"at+jwt"}"#, InputError::Header),
            (
                r#"{"alg":"ES256","typ":"at+jwt","kid":"k","crit":[]}"#,
                InputError::Header,
            ),
            (
                r#"{"alg":"ES256","typ":"at+jwt","kid":"k","kid":"l"}"#,
                InputError::Header,
            ),
            ("text", InputError::Header),
            (
                r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k"}"#,
                InputError::Key,
            ),
            (
                r#"{"alg":"ES256","typ":"at+jwt","kid":"l"}"#,
                InputError::Key,
            ),
            (
                r#"{"alg":"ES256","typ":"dpop+jwt","kid":"k"}"#,
                InputError::Type,
            ),
        ] {
            assert_eq!(refused(header, "{}"), Some(expected), "{header}");
        }
        for payload in ["", "text", "[]", "1"] {
            assert_eq!(refused(good, payload), Some(InputError::Form), "{payload}");
        }
    }

    #[test]
    fn a_message_of_another_form_or_size_is_not_signed() {
        for message in ["", "a", "e30", "e30.e30.e30", "e30=.e30", "."] {
            let parsed = SigningInput::parse(message.as_bytes(), Algorithm::Es256, "k");
            assert!(parsed.is_err(), "{message}");
        }
        let long = vec![b'x'; MAX_BYTES + 1];
        let refused = SigningInput::parse(&long, Algorithm::Es256, "k").err();
        assert_eq!(refused, Some(InputError::TooLong(long.len())));
    }
}
