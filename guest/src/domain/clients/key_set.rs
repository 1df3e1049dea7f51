//! The public keys of clients, by which they prove who they are without a secret that this
//! service has to know (`private_key_jwt`).

use serde::{Deserialize, Serialize};

use super::document_url::DocumentUrl;
use crate::json::{self, Node};
use crate::ports::Algorithm;

/// The most keys of a client.
const MAX_KEYS: usize = 32;
/// The most bytes of a set as it is stored.
const MAX_BYTES: usize = 16 << 10;
/// The members of a JSON Web Key that are not public (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The algorithms with which clients sign, by the names of JWS. EdDSA has two of them (RFC
/// 9864 section 2.2). Builds without the ports of the host verify no signatures by RSA.
pub const ALGORITHMS: &[&str] = match cfg!(feature = "ports-builtin") {
    true => &["ES256", "EdDSA", "Ed25519"],
    false => &["ES256", "EdDSA", "Ed25519", "RS256"],
};

/// Returns the algorithm with this name, if clients sign with it.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "ES256" => Some(Algorithm::Es256),
        "EdDSA" | "Ed25519" => Some(Algorithm::Eddsa),
        "RS256" => Some(Algorithm::Rs256),
        _ => None,
    }
}

/// The public keys of a client, as text: a JSON Web Key Set (RFC 7517 section 5) as JSON, or
/// its URL, where the client can change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientKeys(String);

impl ClientKeys {
    /// An empty key set. The client cannot authenticate until it has keys.
    pub const NONE: ClientKeys = ClientKeys(String::new());

    /// Reads a key set, in which one key at least can be used. It may contain others.
    ///
    /// Fails with what was expected.
    pub fn read(jwks: &Node) -> Result<ClientKeys, &'static str> {
        let keys = keys(jwks);
        if keys.len() > MAX_KEYS || !keys.iter().any(|key| algorithm_of(key).is_some()) {
            return Err("expected an object with 1 to 32 keys, for ES256, EdDSA or RS256");
        }
        if is_private(jwks) {
            return Err("expected public keys only");
        }
        let text = json::text(jwks);
        match text.len() <= MAX_BYTES {
            true => Ok(ClientKeys(text)),
            false => Err("expected at most 16 KiB"),
        }
    }

    /// Returns the keys that are at this URL.
    pub fn at(url: &DocumentUrl) -> ClientKeys {
        ClientKeys(url.as_str().to_owned())
    }

    /// Returns the URL of the keys, if they are at one.
    pub fn url(&self) -> Option<&str> {
        self.0.starts_with("https://").then_some(&self.0)
    }

    /// Returns the keys for an algorithm, each as JSON text; none if they are at a URL. If a
    /// signature names its key, those with another name are left out.
    pub fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        let jwks = self.node();
        for key in keys(&jwks) {
            let is_other = text(key, "kid").is_some_and(|own| kid.is_some_and(|kid| kid != own));
            if algorithm_of(key) == Some(algorithm) && !is_other {
                found.push(json::text(key));
            }
        }
        found
    }

    /// Returns the set as JSON, or `null` if it is at a URL.
    pub fn node(&self) -> Node<'_> {
        json::parse(self.0.as_bytes()).unwrap_or(Node::Null)
    }

    /// Returns the text: the URL, or the set, which is the same for the same keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reports whether a key set has a private or a symmetric key: one that is shown to others
/// says nothing about who signs with it.
pub fn is_private(jwks: &Node) -> bool {
    let is_private = |key: &Node| PRIVATE_MEMBERS.iter().any(|name| key.get(name).is_some());
    keys(jwks).iter().any(is_private)
}

fn keys<'a, 'b>(jwks: &'a Node<'b>) -> &'a [Node<'b>] {
    match jwks.get("keys") {
        Some(Node::List(keys)) => keys,
        _ => &[],
    }
}

fn text<'a>(key: &'a Node, name: &str) -> Option<&'a str> {
    key.get(name)?.as_str()
}

/// Returns the only algorithm that a key is used with, or `None` if it is of another kind, or
/// for another purpose.
fn algorithm_of(key: &Node) -> Option<Algorithm> {
    let own = match (text(key, "kty")?, text(key, "crv")) {
        ("EC", Some("P-256")) => Algorithm::Es256,
        ("OKP", Some("Ed25519")) => Algorithm::Eddsa,
        ("RSA", None) => Algorithm::Rs256,
        _ => return None,
    };
    let is_other_use = key.get("use").is_some() && text(key, "use") != Some("sig");
    let is_other = key.get("alg").is_some() && text(key, "alg").and_then(algorithm) != Some(own);
    (!is_other_use && !is_other).then_some(own)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(jwks: &Value) -> Result<ClientKeys, &'static str> {
        let text = jwks.to_string();
        ClientKeys::read(&json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_set_has_public_keys_of_known_kinds() {
        let ec = json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "a", "use": "sig"});
        let rsa = json!({"kty": "RSA", "n": "n", "e": "AQAB", "alg": "RS256", "x5c": ["x"]});
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "x", "kid": "b"});
        let other = json!({"kty": "EC", "crv": "P-384", "x": "x", "y": "y"});
        let encryption = json!({"kty": "RSA", "n": "n", "e": "AQAB", "use": "enc"});
        let pss = json!({"kty": "RSA", "n": "n", "e": "AQAB", "alg": "PS256"});
        let set = read(&json!({"keys": [ec, other, rsa, encryption, okp, pss]})).unwrap();
        let es256 = r#"{"crv":"P-256","kid":"a","kty":"EC","use":"sig","x":"x","y":"y"}"#;
        assert_eq!(set.find(Algorithm::Es256, None), [es256]);
        assert_eq!(set.find(Algorithm::Es256, Some("a")), [es256]);
        assert!(set.find(Algorithm::Es256, Some("b")).is_empty());
        // A key without a name may be the one that is meant.
        let rs256 = r#"{"alg":"RS256","e":"AQAB","kty":"RSA","n":"n","x5c":["x"]}"#;
        assert_eq!(set.find(Algorithm::Rs256, Some("a")), [rs256]);
        assert_eq!(set.find(Algorithm::Eddsa, Some("b")).len(), 1);
        // RFC 9864.
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": "x", "alg": "Ed25519"});
        let set = read(&json!({"keys": [okp]})).unwrap();
        assert_eq!(set.find(Algorithm::Eddsa, None).len(), 1);
    }

    #[test]
    fn attack_a21_private_and_symmetric_keys_are_refused() {
        let ec = json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y"});
        for name in PRIVATE_MEMBERS {
            let mut private = ec.clone();
            private[name] = json!("x");
            assert!(read(&json!({"keys": [ec, private]})).is_err(), "{name}");
        }
        for wrong in [
            json!({}),
            json!([]),
            json!({"keys": []}),
            json!({"keys": {}}),
            json!({"keys": [{"kty": "oct", "k": "x"}]}),
            json!({"keys": [{"kty": "EC", "x": "x", "y": "y"}]}),
            json!({"keys": [ec, {"kty": "oct", "k": "x"}]}),
            json!({"keys": [ec, {"x": "x".repeat(MAX_BYTES)}]}),
            json!({"keys": vec![ec; MAX_KEYS + 1]}),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
