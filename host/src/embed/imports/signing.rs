//! The interface `signing`. The private keys stay in the host, which signs only tokens of
//! known kinds.

use std::time::Duration;

use tracing::warn;

use crate::embed::bindings::user_auth::plugin::signing::{self as wit, Host, Key, PublicKey};
use crate::embed::bindings::user_auth::plugin::types::Unavailable;
use crate::embed::ctx::UserAuthCtx;
use crate::signing::{self, Algorithm, SigningError};

/// Maximum number of keys in one call.
const MAX_KEYS: usize = 100;
/// Maximum length of a message to verify, of a key and of a signature.
const VERIFY_BYTES: usize = 64 * 1024;
/// Suggested delay when the store or the system is at fault.
const RETRY: Duration = Duration::from_secs(1);

impl Host for UserAuthCtx {
    async fn public_keys(
        &mut self,
        keys: Vec<Key>,
    ) -> wasmtime::Result<Result<Vec<PublicKey>, Unavailable>> {
        self.count_host_call()?;
        if keys.len() > MAX_KEYS {
            return Ok(Err(refused(format!(
                "a call names {} signing keys; at most {MAX_KEYS} are allowed",
                keys.len()
            ))));
        }
        let mut found = Vec::with_capacity(keys.len());
        let host = self.host().clone();
        for Key { algorithm, label } in keys {
            let key = host.shared().signer.public_key(algorithm.into(), &label);
            match self.wait(key).await {
                Ok(signing::PublicKey { kid, jwk }) => found.push(PublicKey { kid, jwk }),
                Err(error) => return Ok(Err(self.unsigned(&error))),
            }
        }
        Ok(Ok(found))
    }

    async fn sign(
        &mut self,
        key: Key,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Unavailable>> {
        self.count_host_call()?;
        let host = self.host().clone();
        let algorithm = key.algorithm.into();
        let signed = host.shared().signer.sign(algorithm, &key.label, &message);
        let signed = self.wait(signed).await;
        Ok(signed.map_err(|error| self.unsigned(&error)))
    }

    // Not asynchronous: a verification takes a tenth of a millisecond.
    fn verify(
        &mut self,
        algorithm: wit::Algorithm,
        jwk: String,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, Unavailable>> {
        self.count_host_call()?;
        let bytes = message.len().max(jwk.len()).max(signature.len());
        if bytes > VERIFY_BYTES {
            return Ok(Err(refused(format!(
                "a message, key or signature to verify has {bytes} bytes; at most {VERIFY_BYTES} are \
                 allowed"
            ))));
        }
        let valid = signing::verify(algorithm.into(), &jwk, &message, &signature);
        Ok(Ok(valid))
    }
}

impl UserAuthCtx {
    fn unsigned(&mut self, error: &SigningError) -> Unavailable {
        let reason = error.to_string();
        if self.may_log(reason.len()) {
            warn!(%error, "nothing was signed");
        }
        let helps = matches!(error, SigningError::Store(_) | SigningError::Random);
        Unavailable {
            reason,
            retry_after_ms: helps.then(|| u32::try_from(RETRY.as_millis()).unwrap_or(u32::MAX)),
        }
    }
}

impl From<wit::Algorithm> for Algorithm {
    fn from(algorithm: wit::Algorithm) -> Self {
        match algorithm {
            wit::Algorithm::Es256 => Algorithm::Es256,
            wit::Algorithm::Eddsa => Algorithm::Eddsa,
            wit::Algorithm::Rs256 => Algorithm::Rs256,
        }
    }
}

fn refused(reason: String) -> Unavailable {
    Unavailable {
        reason,
        retry_after_ms: None,
    }
}
