//! Ports for hosts that offer none of UserAuth's own imports.

#[cfg(feature = "keyvalue")]
use super::keyvalue::Keyvalue as State;
use super::wasi::Wasi;
#[cfg(feature = "hash")]
use crate::inside::Hash;
#[cfg(all(feature = "edge", not(feature = "keyvalue")))]
use crate::inside::NoStore as State;
#[cfg(not(feature = "hash"))]
use crate::inside::Unsupported as Hash;
use crate::inside::{Log, MasterKey, Unsupported};
use crate::json;
use crate::ports::{Keys, Ports, Severity, Telemetry, Unavailable};
#[cfg(not(any(feature = "edge", feature = "keyvalue")))]
use memory::Memory as State;

const STORE: &str = match (cfg!(feature = "keyvalue"), cfg!(feature = "edge")) {
    (true, _) => "keyvalue",
    (false, true) => "none",
    (false, false) => "memory",
};

/// The log and the counters of this instance.
pub const LOG: &Log<'static> = &Log::new(&Wasi, STORE);

/// Returns all ports.
pub fn all() -> Ports<'static> {
    Ports {
        store: &State,
        password_hash: &Hash,
        keys: &LoggedMasterKey,
        clock: &Wasi,
        random: &Wasi,
        telemetry: LOG,
        client: &Unsupported,
        delivery: &Unsupported,
    }
}

/// Logs why something is unavailable. Callers do not see the reason.
pub fn log_unavailable(unavailable: &Unavailable) {
    let fields = json::fields([("reason", unavailable.reason.as_str().into())]);
    LOG.log(Severity::Error, "something is unavailable", &fields);
}

/// The master key, with a log line whenever it is missing or invalid.
struct LoggedMasterKey;

impl Keys for LoggedMasterKey {
    fn derive(&self, label: &str) -> Result<[u8; 32], Unavailable> {
        MasterKey.derive(label).inspect_err(log_unavailable)
    }
}

#[cfg(not(any(feature = "edge", feature = "keyvalue")))]
mod memory {
    use super::Wasi;
    use crate::inside::MemoryStore;
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
