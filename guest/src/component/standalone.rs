//! Ports for hosts that offer none of UserAuth's own imports.

use super::builtin::{MasterKey, Unsupported};
use super::select::{PasswordHashes, Signatures, State};
use super::standalone_log::{LOG, log_unavailable};
use super::wasi::Wasi;
use crate::ports::{Algorithm, Keys, Ports, Unavailable};
use crate::settings::Settings;

/// All ports.
pub fn all() -> Ports<'static> {
    Ports {
        store: &State,
        password_hash: &PasswordHashes,
        keys: &LoggedMasterKey,
        signing: &Signatures,
        clock: &Wasi,
        random: &Wasi,
        telemetry: LOG,
        client: &Unsupported,
        delivery: &Unsupported,
        documents: &Unsupported,
    }
}

/// Returns what is wrong with a setting that this build cannot serve. Builds without a store
/// sign nothing, and may share the settings of the server that does.
pub fn unsupported(settings: &Settings) -> Option<&'static str> {
    let signs = cfg!(any(feature = "store-memory", feature = "store-keyvalue"));
    (signs && settings.signing_algorithm == Algorithm::Rs256).then_some(
        "USER_AUTH_SIGNING_ALGORITHM is rs256, and this build keeps no RSA keys; set it to es256 \
         or eddsa",
    )
}

/// The master key, which logs that it is missing or wrong.
struct LoggedMasterKey;

impl Keys for LoggedMasterKey {
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable> {
        MasterKey.mac(label, message).inspect_err(log_unavailable)
    }
}

#[cfg(any(feature = "store-memory", feature = "store-keyvalue"))]
pub mod with_state {
    use super::log_unavailable;
    use crate::component::builtin::{Hash, MasterKey, Signatures};
    use crate::ports::{
        Algorithm, Function, KeyName, PasswordHash, PublicKey, Signing, Unavailable,
    };

    /// Password hashes; the reason for one that was not computed goes to the log.
    pub struct LoggedHash;

    impl PasswordHash for LoggedHash {
        fn hash(
            &self,
            function: Function,
            password: &[u8],
            salt: &[u8],
        ) -> Result<Vec<u8>, Unavailable> {
            let hashed = Hash.hash(function, password, salt);
            hashed.inspect_err(log_unavailable)
        }
    }

    /// Signatures; the reason for one that was not made goes to the log.
    pub struct LoggedSignatures;

    impl Signing for LoggedSignatures {
        fn public_keys(&self, keys: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable> {
            let found = Signatures(MasterKey::derive).public_keys(keys);
            found.inspect_err(log_unavailable)
        }

        fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, Unavailable> {
            let signed = Signatures(MasterKey::derive).sign(key, message);
            signed.inspect_err(log_unavailable)
        }

        fn verify(
            &self,
            algorithm: Algorithm,
            jwk: &str,
            message: &[u8],
            signature: &[u8],
        ) -> Result<bool, Unavailable> {
            Signatures(MasterKey::derive).verify(algorithm, jwk, message, signature)
        }
    }
}

#[cfg(feature = "store-memory")]
pub mod memory {
    use super::Wasi;
    use crate::component::builtin::MemoryStore;
    use crate::ports::{Clock, Entry, Mutation, Outcome, Page, Store, Unavailable};

    thread_local! {
        static RECORDS: MemoryStore = MemoryStore::default();
    }

    /// The store in the memory of this instance.
    pub struct Memory;

    impl Store for Memory {
        fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
            Ok(RECORDS.with(|records| records.get(keys, Wasi.now())))
        }

        fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
            Ok(RECORDS.with(|records| records.commit(batch, Wasi.now())))
        }

        fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
            RECORDS.with(|records| records.add(key, delta, ttl_ms, Wasi.now()))
        }

        fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
            Ok(RECORDS.with(|records| records.scan(prefix, after, limit, Wasi.now())))
        }
    }
}
