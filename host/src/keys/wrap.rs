//! The root secret, encrypted under a master secret.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::error::UnlockError;
use crate::keys::master_key::MasterKey;
use crate::keys::records::Lock;
use crate::keys::secret::Secret;
use crate::keys::store_keys::StoreKeys;

/// The label of the key that encrypts the root secret.
const LABEL: &str = "host/root-key";
/// The purpose and version of the encryption. Raise it with every change.
const PURPOSE: &str = "user-auth root key 1";
const NONCE_BYTES: usize = 24;

/// The record in the store.
#[derive(Serialize, Deserialize)]
pub(crate) struct WrappedRoot {
    /// The check of the master key that encrypts the root secret.
    master: String,
    /// The checks of earlier master keys, to recognise an attempt with one of them.
    previous: Vec<String>,
    /// XChaCha20-Poly1305, in hexadecimal like all fields here: a random nonce of 24
    /// bytes never repeats.
    nonce: String,
    sealed: String,
}

impl WrappedRoot {
    /// Encrypts the root secret of `keys` under `new`, which replaces `old` and its
    /// predecessors.
    pub(crate) fn new(
        keys: &StoreKeys,
        new: &MasterKey,
        old: &MasterKey,
        lock: &Lock,
    ) -> Result<WrappedRoot, UnlockError> {
        let before = lock.root.as_deref().and_then(WrappedRoot::parse);
        let mut previous = before.map(|before| before.previous).unwrap_or_default();
        previous.push(text(&old.secret.check()));
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| random_failed())?;
        let aad = associated_data(&lock.check);
        let payload = Payload {
            msg: keys.root.bytes(),
            aad: &aad,
        };
        let sealed = cipher(new)
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| UnlockError::Damaged)?;
        Ok(WrappedRoot {
            master: text(&new.secret.check()),
            previous,
            nonce: base16ct::lower::encode_string(&nonce),
            sealed: base16ct::lower::encode_string(&sealed),
        })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<WrappedRoot> {
        serde_json::from_slice(bytes).ok()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "texts and lists of texts are valid JSON"
        )]
        serde_json::to_vec(self).expect("valid JSON")
    }

    /// Decrypts the root secret. `check` is the value of the check record.
    pub(crate) fn unwrap(
        &self,
        master: &MasterKey,
        check: &[u8],
    ) -> Result<StoreKeys, UnlockError> {
        let given = text(&master.secret.check());
        if given != self.master {
            return Err(if self.previous.contains(&given) {
                UnlockError::Rotated
            } else {
                UnlockError::OtherKey
            });
        }
        self.decrypt(master, check).ok_or(UnlockError::Damaged)
    }

    fn decrypt(&self, master: &MasterKey, check: &[u8]) -> Option<StoreKeys> {
        let nonce: [u8; NONCE_BYTES] = base16ct::lower::decode_vec(&self.nonce)
            .ok()?
            .try_into()
            .ok()?;
        let payload = Payload {
            msg: &base16ct::lower::decode_vec(&self.sealed).ok()?,
            aad: &associated_data(check),
        };
        let root = cipher(master).decrypt(&XNonce::from(nonce), payload).ok()?;
        let root = Secret::from_bytes(Zeroizing::new(root))?;
        Some(StoreKeys { root })
    }
}

fn cipher(master: &MasterKey) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(master.secret.derive(LABEL));
    XChaCha20Poly1305::new((&*key).into())
}

/// Returns the associated data, which covers purpose and store: a root secret encrypted
/// for one store is useless with the check of another.
fn associated_data(check: &[u8]) -> Vec<u8> {
    [PURPOSE.as_bytes(), b"\0", check].concat()
}

fn random_failed() -> UnlockError {
    let reason = "the system provided no random numbers".to_owned();
    UnlockError::Store(crate::store::StoreError::Unavailable(reason))
}

fn text(check: &[u8]) -> String {
    String::from_utf8_lossy(check).into_owned()
}
