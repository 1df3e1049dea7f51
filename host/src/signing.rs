//! Signatures that others can verify by a public key. A private key is derived from the
//! keys of the store where its algorithm allows that, and otherwise kept encrypted in the
//! store. The component names the keys and never sees one.

mod key_pair;
mod signing_input;
mod stored;
mod verify;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use self::key_pair::KeyPair;
pub(crate) use self::key_pair::PublicKey;
use self::signing_input::{InputError, SigningInput};
pub(crate) use self::verify::verify;
use crate::keys::label::{Label, LabelError};
use crate::keys::store_keys::StoreKeys;
use crate::store::{Store, StoreError};

/// Number of key pairs that are kept in memory. More than the component uses at once;
/// when there are more, all are dropped.
const CACHED_KEYS: usize = 64;

/// The algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    Eddsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// Returns the `alg` of signatures and keys (RFC 7518, RFC 8037).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Eddsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// Reasons not to sign.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error(transparent)]
    Label(#[from] LabelError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the signing key in the record {0} cannot be decrypted; restore the record from a backup \
         of this store, or rotate the signing key"
    )]
    Damaged(String),
    #[error("the system provided no random numbers")]
    Random,
    #[error("the key could not be created: {0}")]
    Created(String),
}

/// Signs with the keys of one store.
pub(crate) struct Signer {
    keys: StoreKeys,
    store: Arc<dyn Store>,
    pairs: Mutex<HashMap<(Algorithm, String), Arc<KeyPair>>>,
    /// Held while a key is created, which keeps a processor busy.
    creating: tokio::sync::Mutex<()>,
}

impl Signer {
    /// Returns a signer with the keys of this store.
    pub(crate) fn new(keys: StoreKeys, store: Arc<dyn Store>) -> Self {
        Self {
            keys,
            store,
            pairs: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the public half of a key, which is created unless it exists.
    pub(crate) async fn public_key(
        &self,
        algorithm: Algorithm,
        label: &str,
    ) -> Result<PublicKey, SigningError> {
        let pair = self.pair(algorithm, label).await?;
        Ok(pair.public().clone())
    }

    /// Signs a message, which must be that of a JSON Web Signature by this key.
    pub(crate) async fn sign(
        &self,
        algorithm: Algorithm,
        label: &str,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        let pair = self.pair(algorithm, label).await?;
        let input = SigningInput::parse(message, algorithm, &pair.public().kid)?;
        pair.sign(input)
    }

    async fn pair(&self, algorithm: Algorithm, label: &str) -> Result<Arc<KeyPair>, SigningError> {
        let label = Label::parse(label)?;
        let name = (algorithm, label.as_str().to_owned());
        if let Some(pair) = self.cached(&name) {
            return Ok(pair);
        }
        let pair = match algorithm {
            Algorithm::Es256 => KeyPair::es256(&self.keys, label)?,
            Algorithm::Eddsa => KeyPair::eddsa(&self.keys, label)?,
            Algorithm::Rs256 => {
                let _creating = self.creating.lock().await;
                if let Some(pair) = self.cached(&name) {
                    return Ok(pair);
                }
                stored::rs256(&self.keys, &*self.store, label).await?
            }
        };
        let pair = Arc::new(pair);
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= CACHED_KEYS {
            pairs.clear();
        }
        pairs.insert(name, Arc::clone(&pair));
        Ok(pair)
    }

    fn cached(&self, name: &(Algorithm, String)) -> Option<Arc<KeyPair>> {
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::master_key::MasterKey;
    use crate::store::MemoryStore;

    const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Eddsa, Algorithm::Rs256];

    async fn signer_of(store: &Arc<dyn Store>) -> Signer {
        let master = MasterKey::from_bytes(vec![7; 32]).unwrap();
        let keys = master.unlock(&**store).await.unwrap();
        Signer::new(keys, Arc::clone(store))
    }

    fn message(algorithm: Algorithm, kid: &str) -> Vec<u8> {
        let header = json!({"alg": algorithm.name(), "typ": "at+jwt", "kid": kid});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(json!({"sub": "x"}))).into_bytes()
    }

    #[tokio::test]
    async fn a_signature_verifies_under_the_public_key_only_and_in_one_form() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let signer = signer_of(&store).await;
        for algorithm in ALL {
            let key = signer.public_key(algorithm, "a").await.unwrap();
            let other = signer.public_key(algorithm, "b").await.unwrap();
            assert_ne!(key.kid, other.kid);
            assert_eq!(key.kid.len(), 43);
            let message = message(algorithm, &key.kid);
            // Half of all signatures by ECDSA would have the other form by chance.
            for _ in 0..16 {
                let signature = signer.sign(algorithm, "a", &message).await.unwrap();
                assert!(verify(algorithm, &key.jwk, &message, &signature));
                assert!(!verify(algorithm, &other.jwk, &message, &signature));
                assert!(!verify(algorithm, &key.jwk, b"another", &signature));
                assert!(!verify(algorithm, &key.jwk, &message, &signature[1..]));
                for wrong in ALL.into_iter().filter(|it| *it != algorithm) {
                    assert!(!verify(wrong, &key.jwk, &message, &signature));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_key_is_the_same_after_a_restart_and_in_a_second_process() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (first, second) = (signer_of(&store).await, signer_of(&store).await);
        for algorithm in ALL {
            let (one, two) = tokio::join!(
                first.public_key(algorithm, "a"),
                second.public_key(algorithm, "a")
            );
            let restarted = signer_of(&store).await;
            let three = restarted.public_key(algorithm, "a").await.unwrap();
            assert_eq!(one.unwrap().jwk, three.jwk);
            assert_eq!(two.unwrap().kid, three.kid);
        }
    }

    /// The component has the same test: builds without this host have the same keys.
    #[tokio::test]
    async fn keys_are_derived_by_the_rules_of_the_component() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let signer = signer_of(&store).await;
        for (algorithm, kid) in [
            (
                Algorithm::Es256,
                "eRztuH8Bqn9q8g7fRsYzjs1LtTCyay67cRwFMBt-sh8",
            ),
            (
                Algorithm::Eddsa,
                "lmmt7FYzrOWyBKChXX6Ffv0GdfC2WFAFayosCWVgQ1k",
            ),
        ] {
            let key = signer.public_key(algorithm, "a").await.unwrap();
            assert_eq!(key.kid, kid);
        }
    }

    #[tokio::test]
    async fn an_encrypted_key_is_damaged_for_other_keys_and_under_another_label() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let signer = signer_of(&store).await;
        signer.public_key(Algorithm::Rs256, "a").await.unwrap();
        let others = StoreKeys::ephemeral().unwrap();
        let other = Signer::new(others, Arc::clone(&store));
        let refused = other.public_key(Algorithm::Rs256, "a").await;
        assert!(matches!(refused, Err(SigningError::Damaged(_))));
        let [from, to] = ["a", "b"].map(|label| stored::record(Label::parse(label).unwrap()));
        let sealed = store.get(std::slice::from_ref(&from)).await.unwrap();
        let sealed = sealed[0].clone().unwrap().value;
        assert!(!sealed.windows(4).any(|bytes| bytes == b"RSA "));
        stored::put(&*store, to, sealed).await.unwrap();
        let moved = signer_of(&store).await;
        let refused = moved.public_key(Algorithm::Rs256, "b").await;
        assert!(matches!(refused, Err(SigningError::Damaged(_))));
    }

    #[tokio::test]
    async fn labels_of_the_host_are_rejected() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let signer = signer_of(&store).await;
        for algorithm in ALL {
            let refused = signer.public_key(algorithm, "host/x").await;
            assert!(matches!(refused, Err(SigningError::Label(_))));
        }
    }
}
