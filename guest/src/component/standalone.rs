//! Ports for hosts that offer none of UserAuth's own imports.

use super::builtin::{MasterKey, Unsupported};
use super::select::{PasswordHashes, State};
use super::standalone_log::{LOG, log_unavailable};
use super::wasi::Wasi;
use crate::ports::{Keys, Ports, Unavailable};

/// All ports.
pub fn all() -> Ports<'static> {
    Ports {
        store: &State,
        password_hash: &PasswordHashes,
        keys: &LoggedMasterKey,
        clock: &Wasi,
        random: &Wasi,
        telemetry: LOG,
        client: &Unsupported,
        delivery: &Unsupported,
    }
}

/// The master key, which logs that it is missing or wrong.
struct LoggedMasterKey;

impl Keys for LoggedMasterKey {
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable> {
        MasterKey.mac(label, message).inspect_err(log_unavailable)
    }
}

#[cfg(any(feature = "store-memory", feature = "store-keyvalue"))]
pub mod hash {
    use super::log_unavailable;
    use crate::component::builtin::Hash;
    use crate::ports::{Function, PasswordHash, Unavailable};

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
