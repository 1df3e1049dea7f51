//! Ports for hosts that offer none of UserAuth's own imports.

#[cfg(feature = "hash")]
use super::builtin::Hash;
#[cfg(all(feature = "edge", not(feature = "keyvalue")))]
use super::builtin::NoStore as State;
#[cfg(not(feature = "hash"))]
use super::builtin::Unsupported as LoggedHash;
use super::builtin::{MasterKey, Unsupported};
use super::standalone_log::{LOG, log_unavailable};
use super::wasi::Wasi;
#[cfg(feature = "keyvalue")]
use super::wasi_keyvalue::Keyvalue as State;
#[cfg(feature = "hash")]
use crate::ports::{Function, PasswordHash};
use crate::ports::{Keys, Ports, Unavailable};
#[cfg(not(any(feature = "edge", feature = "keyvalue")))]
use memory::Memory as State;

/// All ports.
pub fn all() -> Ports<'static> {
    Ports {
        store: &State,
        password_hash: &LoggedHash,
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

/// Password hashes; the reason for one that was not computed goes to the log.
#[cfg(feature = "hash")]
struct LoggedHash;

#[cfg(feature = "hash")]
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

#[cfg(not(any(feature = "edge", feature = "keyvalue")))]
mod memory {
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
