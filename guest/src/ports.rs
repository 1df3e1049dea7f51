//! What the domain asks of the world around it. In the component the imports
//! of `wit/` stand behind these traits, in native tests plain memory does.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::id::Id;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// A capability of the host could not do its work (`types.unavailable`).
#[derive(Clone, Debug)]
pub struct Unavailable {
    /// For the log of whoever runs the host; never for the caller.
    pub reason: String,
    /// How long to wait before another try, in milliseconds; 0: no try will help.
    pub retry_after_ms: u32,
}

impl Unavailable {
    /// It will not be there later either.
    pub fn for_good(reason: &str) -> Unavailable {
        Unavailable {
            reason: reason.to_owned(),
            retry_after_ms: 0,
        }
    }
}

/// Which writing of a record this is. Compare for equality only.
pub type Version = String;

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is stored under.
    pub key: String,
    /// What is stored.
    pub value: Vec<u8>,
    /// Which writing of the key this is.
    pub version: Version,
}

/// What must hold for a mutation to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is no live record under the key.
    Absent,
    /// The live record under the key has this version.
    At(Version),
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// The key that changes.
    pub key: String,
    /// What must hold before.
    pub expect: Expect,
    /// The new value; `None` deletes.
    pub put: Option<Vec<u8>>,
    /// How long the record lives, in milliseconds; `None`: for good.
    pub ttl_ms: Option<u64>,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Committed,
    /// None of it happened; the index of the first expectation that failed.
    Conflict(u32),
}

/// One page of a scan.
#[derive(Clone, Debug)]
pub struct Page {
    /// In ascending order of their keys.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<String>,
}

/// Records; the contract is `wit/store.wit`.
pub trait Store {
    /// Whether there is one at all. Where there is none every call fails, and what can
    /// be told without state goes by what callers show.
    fn is_there(&self) -> bool {
        true
    }
    /// Reads the records under `keys`, in that order, as one snapshot.
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable>;
    /// Applies all mutations or none.
    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable>;
    /// Adds to a counter and returns its new value.
    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable>;
    /// Reads up to `limit` records under `prefix`, after the key `after`.
    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable>;
}

/// The cost of one Argon2id hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashParameters {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Length of the hash in bytes.
    pub output_length: u32,
}

/// The cost of one scrypt hash (RFC 7914 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScryptParameters {
    /// The binary logarithm of the cost N.
    pub log_n: u8,
    /// The block size r.
    pub block_size: u32,
    /// The parallelisation p.
    pub parallelism: u32,
    /// Length of the hash in bytes.
    pub output_length: u32,
}

/// Password hashes; the contract is `wit/password-hash.wit`. All but Argon2id are
/// there to verify what was made elsewhere.
pub trait PasswordHash {
    /// Argon2id (RFC 9106) of `password` with `salt` and the pepper `secret`.
    fn argon2id(
        &self,
        password: &[u8],
        salt: &[u8],
        secret: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable>;
    /// bcrypt of the first 72 bytes of `password`, with 2^`cost` rounds and a salt
    /// of 16 bytes: the 23 bytes that are stored of it.
    fn bcrypt(&self, password: &[u8], salt: &[u8], cost: u32) -> Result<Vec<u8>, Unavailable>;
    /// scrypt (RFC 7914).
    fn scrypt(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: ScryptParameters,
    ) -> Result<Vec<u8>, Unavailable>;
    /// PBKDF2 with HMAC-SHA256 (RFC 8018 section 5.2).
    fn pbkdf2_sha256(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable>;
    /// PBKDF2 with HMAC-SHA512.
    fn pbkdf2_sha512(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable>;
    /// PBKDF2 with HMAC-SHA1.
    fn pbkdf2_sha1(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable>;
    /// Argon2i (RFC 9106), without a pepper.
    fn argon2i(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable>;
}

/// Keys that the host derives from its master secret.
pub trait Keys {
    /// The key of this label.
    fn derive(&self, label: &str) -> Result<[u8; 32], Unavailable>;
}

/// Wall-clock time.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;
    /// Microseconds from a fixed but unknown moment; never goes back.
    fn monotonic_us(&self) -> u64;
}

/// A cryptographically secure source of random bytes.
pub trait Random {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable>;

    /// A new id, like no other.
    fn id(&self) -> Result<Id, Unavailable> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        Ok(Id::from_bytes(bytes))
    }
}

/// How grave a line of the operator's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Of use to who looks for a fault.
    Debug,
    /// Normal.
    Info,
    /// Somebody should look at it some time.
    Warn,
    /// Somebody should look at it now.
    Error,
}

/// An operation that has ended (`telemetry.operation-event`).
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// Its name.
    pub operation: &'a str,
    /// The error code; none: it succeeded.
    pub code: Option<i32>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// Who called and with what, if that was asked for.
    pub audit: Option<Audit>,
}

/// Who called an operation, whom it was about, and with what it was called.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What the caller showed.
    pub credential: Credential,
    /// Who that turned out to be.
    pub actor: Option<String>,
    /// The session of an access token.
    pub session_id: Option<Id>,
    /// Whom it was about.
    pub account: Option<Id>,
    /// A JSON object without secrets; none: it is not to be shown.
    pub input: Option<String>,
}

/// What a caller showed to say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    Anonymous,
    /// An access token.
    AccessToken,
    /// An API key.
    ApiKey,
    /// Nothing, and nothing is asked of them.
    Operator,
}

/// Counters, log and audit lines out; the numbers in.
pub trait Telemetry {
    /// A line for the operator's log.
    fn log(&self, severity: Severity, message: &str, fields: &Map<String, Value>);
    /// An operation begins; whether to tell who called when it has ended.
    fn operation_began(&self, operation: &str) -> bool;
    /// Counts the operation that has begun last, which has ended.
    fn operation_ended(&self, ended: &Ended);
    /// An audit record that has been committed.
    fn audited(&self, record: &str);
    /// The numbers as they are now, as the JSON of `mcp://user-auth/metrics`.
    fn snapshot(&self) -> Value;
}

/// The severities of RFC 5424 that MCP uses, least grave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Notice => "notice",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
            LogLevel::Alert => "alert",
            LogLevel::Emergency => "emergency",
        })
    }
}

/// The MCP client whose request is being answered.
pub trait Client {
    /// Sends one JSON-RPC notification at once; lost when the client takes none.
    fn notify(&self, notification: &str);
    /// From now on `cancel` finds this request by its id.
    fn started(&self, id: &str);
    /// Stops the work on another request of the same client.
    fn cancel(&self, id: &str);
    /// What this connection asked to be told of.
    fn log_level(&self) -> Option<LogLevel>;
    /// Remembers that for the connection.
    fn set_log_level(&self, level: LogLevel);
}

/// What a message to the owner of an account is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A code to reset the password.
    PasswordReset,
    /// A code to verify the address of the account.
    EmailVerification,
    /// A code to verify the address that the account is to have.
    EmailChange,
    /// The account has a new password.
    PasswordChanged,
    /// Another address was asked for; this one is still the account's.
    EmailChangeRequested,
    /// The account has another address; this one was the account's.
    EmailChanged,
    /// The account has another second factor, other recovery codes, or none.
    SecondFactorChanged,
    /// The right password came from a source that it never came from before.
    LoginFromNewSource,
    /// An API key was made for the account, or one of its keys was rotated.
    ApiKeyCreated,
}

/// A message to the owner of an account.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is about.
    pub kind: MessageKind,
    /// The e-mail address.
    pub to: String,
    /// Whose account it is about.
    pub username: String,
    /// Whose account it is about.
    pub user_id: Id,
    /// What the owner is to show, and when it ends; a notice has none.
    pub code: Option<(Secret, Timestamp)>,
}

/// Messages to the owners of accounts; the contract is `wit/delivery.wit`.
pub trait Delivery {
    /// Takes a message to be delivered, and returns before it is.
    fn deliver(&self, message: &Message) -> Result<(), Unavailable>;
}

/// All ports together.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Records.
    pub store: &'a dyn Store,
    /// Password hashes.
    pub password_hash: &'a dyn PasswordHash,
    /// Derived keys.
    pub keys: &'a dyn Keys,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub random: &'a dyn Random,
    /// Counters and logs.
    pub telemetry: &'a dyn Telemetry,
    /// The MCP client.
    pub client: &'a dyn Client,
    /// Messages to the owners of accounts.
    pub delivery: &'a dyn Delivery,
}
