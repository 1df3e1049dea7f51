//! The key set (RFC 7517) by which other services verify tokens that were issued for them.

use serde_json::{Map, Value, json};

use super::signing_key::{PUBLIC_KEYS_MAX_AGE, SigningKeys};
use crate::domain::call::Call;
use crate::error::Result;
use crate::json::{self, Fields, Node};
use crate::ports::{Algorithm, PublicKey};
use crate::storage::record;

/// The public members of all types of keys that sign (RFC 7518 section 6, RFC 8037 section
/// 2). No other member is ever published.
const MEMBERS: [&str; 6] = ["crv", "e", "kty", "n", "x", "y"];

/// Returns the `Cache-Control` of the key set.
pub fn cache_control() -> String {
    format!("public, max-age={}", PUBLIC_KEYS_MAX_AGE.as_secs())
}

/// Returns the key set as JSON: the keys that will sign, that sign, and that have signed
/// tokens which are still valid.
pub fn document(call: &Call) -> Result<Value> {
    let keys = SigningKeys::load_published(call)?;
    let known = keys.known_to_others(call.now());
    let names: Vec<_> = known
        .iter()
        .map(|(key, published)| key.name(published))
        .collect();
    let public = call.ports.signing.public_keys(&names)?;
    let mut set = Vec::new();
    for ((_, published), PublicKey { kid, jwk }) in known.iter().zip(public) {
        let jwk = json::parse(jwk.as_bytes()).ok().and_then(Node::into_fields);
        let Some(members) = jwk.filter(|_| kid == published.thumbprint) else {
            return Err(record::unreadable(SigningKeys::KEY, &call.ports));
        };
        set.push(key(&members, kid, published.algorithm));
    }
    Ok(json!({"keys": set}))
}

fn key(members: &Fields, kid: String, algorithm: Algorithm) -> Value {
    let mut key = Map::new();
    for name in MEMBERS {
        if let Some(value) = members.get(name).and_then(Node::as_str) {
            key.insert(name.to_owned(), value.into());
        }
    }
    key.insert("kid".to_owned(), kid.into());
    key.insert("use".to_owned(), "sig".into());
    key.insert("alg".to_owned(), algorithm.name().into());
    Value::Object(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_members_are_never_published() {
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
        let members = private.iter().chain(&MEMBERS);
        let members: Vec<(&str, &str)> = members.map(|name| (*name, "x")).collect();
        let members = Fields::from(members.as_slice());
        let published = key(&members, "kid".to_owned(), Algorithm::Es256);
        let names: Vec<_> = published.as_object().unwrap().keys().collect();
        let expected = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
        assert_eq!(names, expected);
    }
}
