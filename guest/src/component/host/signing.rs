//! Signatures that others can verify, by the import `signing`.

use super::Host;
use crate::component::contract::imports::signing as wit;
use crate::ports::{Algorithm, KeyName, PublicKey, Signing, Unavailable};

impl Signing for Host {
    fn public_keys(&self, keys: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable> {
        let names: Vec<wit::Key> = keys.iter().map(key).collect();
        let found = wit::public_keys(&names)?;
        if found.len() != keys.len() {
            return Err(Unavailable {
                reason: format!(
                    "the host returned {} public keys for {} names",
                    found.len(),
                    keys.len()
                ),
                retry_after_ms: Some(1000),
            });
        }
        let found = found.into_iter();
        Ok(found
            .map(|wit::PublicKey { kid, jwk }| PublicKey { kid, jwk })
            .collect())
    }

    fn sign(&self, name: &KeyName, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Ok(wit::sign(&key(name), message)?)
    }

    fn verify(
        &self,
        name: Algorithm,
        jwk: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unavailable> {
        Ok(wit::verify(algorithm(name), jwk, message, signature)?)
    }
}

fn key(name: &KeyName) -> wit::Key {
    wit::Key {
        algorithm: algorithm(name.algorithm),
        label: name.label.clone(),
    }
}

fn algorithm(name: Algorithm) -> wit::Algorithm {
    match name {
        Algorithm::Es256 => wit::Algorithm::Es256,
        Algorithm::Eddsa => wit::Algorithm::Eddsa,
        Algorithm::Rs256 => wit::Algorithm::Rs256,
    }
}
