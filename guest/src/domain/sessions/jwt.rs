//! How tokens are written: JWTs in the compact form of JWS (RFC 7515 section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::signing_key::SigningKeys;
use crate::domain::call::Call;
use crate::error::Result;
use crate::json;
use crate::storage::record;
use crate::types::secret::Secret;

/// The header of a token. It allows exactly these fields, so that `crit`, `jku`, `jwk` and
/// the like are rejected.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The algorithm of the signature.
    pub alg: String,
    /// What the token is.
    pub typ: String,
    /// The id of the key.
    pub kid: String,
}

/// Returns a token of this type that others can verify, by the keys that are published.
pub fn sign_for_others<T: Serialize>(typ: &str, claims: &T, call: &Call) -> Result<Secret> {
    let keys = SigningKeys::load_published(call)?;
    let algorithm = call.settings.signing_algorithm;
    let Some((key, published)) = keys.current_published(algorithm, call.now()) else {
        return Err(record::unreadable(SigningKeys::KEY, &call.ports));
    };
    let algorithm = published.algorithm.name();
    let input = signing_input(typ, algorithm, &published.thumbprint, claims);
    let name = key.name(published);
    let signature = call.ports.signing.sign(&name, input.as_bytes())?;
    Ok(with_signature(input, &signature))
}

/// Returns what is signed (RFC 7515 section 5.1).
pub fn signing_input<T: Serialize>(typ: &str, algorithm: &str, kid: &str, claims: &T) -> String {
    let header = Header {
        alg: algorithm.to_owned(),
        typ: typ.to_owned(),
        kid: kid.to_owned(),
    };
    let mut input = encode(&header);
    input.push('.');
    input.push_str(&encode(claims));
    input
}

/// Returns the token.
pub fn with_signature(mut input: String, signature: &[u8]) -> Secret {
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    Secret::new(input)
}

fn encode<T: Serialize>(part: &T) -> String {
    URL_SAFE_NO_PAD.encode(json::to_vec(part))
}
