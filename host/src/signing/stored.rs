//! RSA keys, which cannot be derived: created once, and kept encrypted in the store. The
//! processes that share a store agree on one key for each label.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng as _;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rsa::PrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SigningError;
use super::key_pair::KeyPair;
use crate::keys::label::Label;
use crate::keys::records::SIGNING_KEY;
use crate::keys::store_keys::StoreKeys;
use crate::store::{Expect, Mutation, Outcome, Store, StoreError};

/// The label of the key that encrypts the signing keys.
const LABEL: &str = "host/signing-key";
/// The purpose and version of the encryption. Raise it with every change.
const PURPOSE: &str = "user-auth signing key 1";
const NONCE_BYTES: usize = 24;
/// RFC 7518 section 3.3: at least 2,048 bits.
const BITS: usize = 2048;

/// Returns the RSA key with this label, which is created unless it exists.
pub(super) async fn rs256(
    keys: &StoreKeys,
    store: &dyn Store,
    label: Label<'_>,
) -> Result<KeyPair, SigningError> {
    let record = record(label);
    loop {
        let found = store.get(std::slice::from_ref(&record)).await?.pop();
        if let Some(entry) = found.flatten() {
            let der = decrypt(keys, label, &entry.value);
            let der = der.ok_or_else(|| SigningError::Damaged(record.clone()))?;
            return KeyPair::rs256(&der);
        }
        let created = tokio::task::spawn_blocking(create).await;
        let der = created.map_err(|error| SigningError::Created(error.to_string()))??;
        let sealed = encrypt(keys, label, &der)?;
        // Of several processes one is first; the next read returns its key to all.
        put(store, record.clone(), sealed).await?;
    }
}

/// Returns the key of the record for a label. A label may be longer than keys of records
/// are, and contain characters that they do not.
pub(super) fn record(label: Label<'_>) -> String {
    let digest = Sha256::digest(label.as_str());
    format!("{SIGNING_KEY}{}", base16ct::lower::encode_string(&digest))
}

/// Writes a record unless there is one.
pub(super) async fn put(
    store: &dyn Store,
    key: String,
    value: Vec<u8>,
) -> Result<Outcome, StoreError> {
    let mutation = Mutation {
        key,
        expect: Expect::Absent,
        put: Some(value),
        ttl: None,
    };
    store.commit(vec![mutation]).await
}

/// Returns a new private key in PKCS #1 DER.
fn create() -> Result<Zeroizing<Vec<u8>>, SigningError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| SigningError::Random)?;
    let mut random = ChaCha20Rng::from_seed(*seed);
    let created = |error: &dyn std::fmt::Display| SigningError::Created(error.to_string());
    let key = PrivateKey::new(&mut random, BITS).map_err(|error| created(&error))?;
    let der = key.to_pkcs1_der().map_err(|error| created(&error))?;
    Ok(der.to_bytes())
}

fn encrypt(keys: &StoreKeys, label: Label<'_>, der: &[u8]) -> Result<Vec<u8>, SigningError> {
    // A random nonce of 24 bytes never repeats.
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| SigningError::Random)?;
    let payload = Payload {
        msg: der,
        aad: &associated_data(label),
    };
    let sealed = cipher(keys).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.map_err(|error| SigningError::Created(error.to_string()))?;
    Ok([&nonce[..], &sealed].concat())
}

fn decrypt(keys: &StoreKeys, label: Label<'_>, value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = value.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let payload = Payload {
        msg: sealed,
        aad: &associated_data(label),
    };
    let der = cipher(keys).decrypt(&XNonce::from(nonce), payload).ok()?;
    Some(Zeroizing::new(der))
}

fn cipher(keys: &StoreKeys) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(keys.derive(LABEL));
    XChaCha20Poly1305::new((&*key).into())
}

/// Returns the associated data: a record under the key of another label is useless.
fn associated_data(label: Label<'_>) -> Vec<u8> {
    [PURPOSE.as_bytes(), b"\0", label.as_str().as_bytes()].concat()
}
