//! Where state lives: records under keys, changed in batches that happen whole
//! or not at all.
//!
//! The contract is the `store` interface in `wit/store.wit`; every
//! implementation passes the same suite, `host/tests/store_contract.rs`.

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

/// The most bytes that a key may have.
pub const MAX_KEY_BYTES: usize = 512;
/// The most bytes that a value may have.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// The most entries that one page of a scan may have.
pub const MAX_PAGE: u32 = 1000;
/// The most records that one `get` may name.
pub const MAX_KEYS: usize = 1_000;
/// The most bytes of keys, values and versions that the answer to one `get` or `scan`
/// may have: see [`Entry::bytes`].
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// The most mutations that one batch may have.
pub const MAX_BATCH: usize = 10_000;
/// The most bytes of keys, values and expected versions that one batch may have: see
/// [`Mutation::bytes`].
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The records whose keys begin with this are the host's own. A component can neither
/// name nor see them, whichever store they lie in.
pub const HOST_PREFIX: &str = "host/";
/// A page of a snapshot ends with the record that brings its keys and values to
/// so many bytes, if it does not end before.
pub const SNAPSHOT_PAGE_BYTES: usize = 1024 * 1024;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is stored under.
    pub key: String,
    /// What is stored.
    pub value: Vec<u8>,
    /// Which writing of the key this is. Compare for equality only.
    pub version: String,
}

impl Entry {
    /// What it counts for in an answer.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.len() + self.version.len()
    }
}

/// What must hold for a [`Mutation`] to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is no live record under the key.
    Absent,
    /// The live record under the key has this version.
    At(String),
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The key that changes.
    pub key: String,
    /// What must hold before.
    pub expect: Expect,
    /// The new value; `None` deletes the record.
    pub put: Option<Vec<u8>>,
    /// How long the record lives; `None`: for good.
    pub ttl: Option<Duration>,
}

impl Mutation {
    /// What it counts for in a batch.
    pub fn bytes(&self) -> usize {
        let version = match &self.expect {
            Expect::At(version) => version.len(),
            Expect::Any | Expect::Absent => 0,
        };
        self.key.len() + version + self.put.as_ref().map_or(0, Vec::len)
    }
}

/// How a batch ended. A lost race is an outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Committed,
    /// None of it happened; the index is that of the first mutation whose
    /// expectation failed.
    Conflict(u32),
}

/// One page of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In ascending order of their keys.
    pub entries: Vec<Entry>,
    /// Where the next page begins, for `after`; `None`: this was the last.
    pub next: Option<String>,
}

/// A record with the end of its life instead of its version: what a backup keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is stored under.
    pub key: String,
    /// What is stored.
    pub value: Vec<u8>,
    /// When it expires, in milliseconds since 1970; `None`: never.
    pub expires_at_ms: Option<i64>,
}

/// The store could not do its work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// It is away, full or broken; another try may go through.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It is there, and has more to do than it can; another try may go through.
    #[error("the store is busy: {0}")]
    Busy(String),
    /// The call breaks the contract: a key or value of the wrong form, one key
    /// twice in a batch, an `add` to what is no counter, more than one call may ask
    /// for. Another try will not help.
    #[error("the store refused the call: {0}")]
    Refused(String),
}

/// What every store does. See `wit/store.wit` for the contract, [`checks`] for the part
/// of it that is the same for all, and `host/examples/own_store/store.rs` for a small
/// store that keeps to it.
///
/// The host keeps records of its own in the store, under keys that begin with
/// [`HOST_PREFIX`]. To a store they are like all others: that the component does not
/// reach them is seen to before a call gets here.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// `sqlite`, `postgres`, …: for metrics and messages.
    fn kind(&self) -> &'static str;

    /// Reads the records under `keys`, in that order, as one snapshot. Refuses more
    /// than [`MAX_KEYS`], and an answer of more than [`MAX_ANSWER_BYTES`].
    async fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError>;

    /// Applies all mutations or none; returns when the outcome is durable. Refuses more
    /// than [`MAX_BATCH`], and more than [`MAX_BATCH_BYTES`].
    async fn commit(&self, batch: Vec<Mutation>) -> Result<Outcome, StoreError>;

    /// Adds to a counter and returns its new value. A counter that is absent or
    /// expired starts at 0 with `ttl`, which later additions do not prolong.
    async fn add(&self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StoreError>;

    /// Reads up to `limit` records whose keys begin with `prefix`, after `after`. The
    /// page ends before the record that would take it past [`MAX_ANSWER_BYTES`].
    async fn scan(&self, prefix: &str, after: Option<&str>, limit: u32)
    -> Result<Page, StoreError>;

    /// Frees the space of up to `limit` expired records and says how many there
    /// were. Expired records are invisible whether purged or not.
    async fn purge(&self, limit: u32) -> Result<u32, StoreError>;

    /// All records that are alive at this moment, as they are at this moment,
    /// whatever is committed while they are read. Only backups need it.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        Err(StoreError::Refused(format!(
            "backups of a store of the kind {:?} are not supported",
            self.kind()
        )))
    }
}

/// A store at one moment. Dropping it lets go of what it holds.
#[async_trait]
pub trait Snapshot: Send {
    /// The next records in ascending order of their keys: no more than
    /// [`MAX_PAGE`], and no more than one beyond [`SNAPSHOT_PAGE_BYTES`]. An empty
    /// page: there are no more.
    async fn page(&mut self) -> Result<Vec<Record>, StoreError>;
}
