//! Stores keep the state: records under keys, changed in atomic batches.
//! They do not know the meaning of a record.
//!
//! The contract is the `store` interface in `wit/store.wit`; every implementation
//! passes the same suite, `tests/store_contract`.

pub mod checks;
mod clock;
mod guest;
mod memory;
mod postgres;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use guest::GuestStore;
pub use memory::MemoryStore;
pub use postgres::{PostgresStore, PostgresUrl, PostgresUrlError};
pub use sqlite::SqliteStore;

/// Maximum size of a key in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// Maximum size of a value in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Maximum number of entries on one page of a scan.
pub const MAX_PAGE: u32 = 1000;
/// Maximum number of records that one `get` may name.
pub const MAX_KEYS: usize = 1_000;
/// Maximum size in bytes of the keys, values and versions in the response to one `get`
/// or `scan`: see [`Entry::bytes`].
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of mutations in one batch.
pub const MAX_BATCH: usize = 10_000;
/// Maximum size in bytes of the keys, values and expected versions in one batch: see
/// [`Mutation::bytes`].
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Prefix of the keys of the host's own records. A component can neither name nor see
/// them, whatever the store.
pub const HOST_PREFIX: &str = "host/";
/// Size at which a page of a snapshot ends: the record that brings its keys and values
/// to this many bytes is the last one.
pub const SNAPSHOT_PAGE_BYTES: usize = 1024 * 1024;

/// A record as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key of the record.
    pub key: String,
    /// The value of the record.
    pub value: Vec<u8>,
    /// Version of the record, changed by every write. Compare for equality only.
    pub version: String,
}

impl Entry {
    /// Returns the size of the entry as counted in a response.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.len() + self.version.len()
    }
}

/// The precondition of a [`Mutation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No condition.
    Any,
    /// The key has no live record.
    Absent,
    /// The key has a live record of this version.
    At(String),
}

/// One change in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The key to change.
    pub key: String,
    /// The precondition of the change.
    pub expect: Expect,
    /// The new value, or `None` to delete the record.
    pub put: Option<Vec<u8>>,
    /// Lifetime of the record, or `None` if it never expires.
    pub ttl: Option<Duration>,
}

impl Mutation {
    /// Returns the size of the mutation as counted in a batch.
    pub fn bytes(&self) -> usize {
        let version = match &self.expect {
            Expect::At(version) => version.len(),
            Expect::Any | Expect::Absent => 0,
        };
        self.key.len() + version + self.put.as_ref().map_or(0, Vec::len)
    }
}

/// The outcome of a batch. A lost race is an outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All mutations were applied and are durable.
    Committed,
    /// No mutation was applied; the index is that of the first one whose precondition
    /// failed.
    Conflict(u32),
}

/// One page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries in ascending order of their keys.
    pub entries: Vec<Entry>,
    /// The value of `after` for the next page, or `None` on the last page.
    pub next: Option<String>,
}

/// A record with its expiry time instead of its version, as a backup keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key of the record.
    pub key: String,
    /// The value of the record.
    pub value: Vec<u8>,
    /// Expiry time in milliseconds since 1970, or `None` if the record never expires.
    pub expires_at_ms: Option<i64>,
}

/// Errors of a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is unreachable, full or broken; a retry may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store is overloaded; a retry may succeed.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The call violates the contract: a malformed key or value, a duplicate key in a
    /// batch, an `add` to a record that is not a counter, or a call over the size
    /// limits. A retry will not help.
    #[error("the store refused the call: {0}")]
    Refused(String),
}

/// A store of records. See `wit/store.wit` for the contract, [`checks`] for the rules
/// that are the same for every store, and `host/examples/own_store/store.rs` for a
/// small implementation.
///
/// The host keeps records of its own in the store, under keys that begin with
/// [`HOST_PREFIX`]. A store treats them like all others: the host keeps the component
/// from reaching them before a call gets to the store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns the kind of the store for metrics and messages: `sqlite`, `postgres`, ….
    fn kind(&self) -> &'static str;

    /// Reads the records under `keys`, in that order, as one snapshot. Rejects more
    /// than [`MAX_KEYS`], and a response of more than [`MAX_ANSWER_BYTES`].
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// Applies all mutations or none; returns when the outcome is durable. Rejects more
    /// than [`MAX_BATCH`], and more than [`MAX_BATCH_BYTES`].
    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError>;

    /// Adds to a counter and returns its new value. A counter that is absent or expired
    /// starts at 0 with `ttl`, which later additions do not extend.
    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError>;

    /// Reads up to `limit` records whose keys begin with `prefix`, after `after`. The
    /// page ends before the record that would take it past [`MAX_ANSWER_BYTES`].
    async fn scan(&self, prefix: &str, after: Option<&str>, limit: u32)
    -> Result<Page, StoreError>;

    /// Frees the space of up to `limit` expired records and returns how many there
    /// were. Expired records are invisible whether purged or not.
    async fn purge(&self, limit: u32) -> Result<u32, StoreError>;

    /// Returns a snapshot of all live records as of this moment, unaffected by later
    /// commits. Only backups need it.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::Refused(format!(
            "backups of a store of the kind {:?} are not supported",
            self.kind()
        )))
    }
}

/// A snapshot of a store. Dropping it releases its resources.
#[async_trait]
pub trait Snapshot: Send {
    /// Returns the next records in ascending order of their keys: at most [`MAX_PAGE`],
    /// and at most one beyond [`SNAPSHOT_PAGE_BYTES`]. An empty page ends the snapshot.
    async fn page(&mut self) -> Result<Vec<Record>, StoreError>;
}
