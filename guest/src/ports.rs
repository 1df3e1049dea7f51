//! The capabilities that the domain requires from its host. In the component, these traits
//! are implemented by the imports of `wit/`; in native tests, by plain memory.

pub mod metrics;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::metrics::Metrics;
use crate::types::id::Id;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// A capability of the host failed to do its work (`types.unavailable`).
#[derive(Clone, Debug)]
pub struct Unavailable {
    /// The reason for the operator's log; never shown to the caller.
    pub reason: String,
    /// How long to wait before the next attempt, in milliseconds; `None` if no retry helps.
    pub retry_after_ms: Option<u32>,
}

impl Unavailable {
    /// Creates an error that no retry helps.
    pub fn for_good(reason: &str) -> Unavailable {
        Unavailable {
            reason: reason.to_owned(),
            retry_after_ms: None,
        }
    }
}

/// The version of a record, changed by every write. Compare for equality only.
pub type Version = String;

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key of the record.
    pub key: String,
    /// The stored value.
    pub value: Vec<u8>,
    /// The version of the record.
    pub version: Version,
}

/// The condition for a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No condition.
    Any,
    /// There is no live record under the key.
    Absent,
    /// The live record under the key has this version.
    At(Version),
}

/// One change of a batch.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// The key to change.
    pub key: String,
    /// The condition that must hold before the change.
    pub expect: Expect,
    /// The new value; `None` deletes the record.
    pub put: Option<Vec<u8>>,
    /// The lifetime of the record in milliseconds; `None` if it does not expire.
    pub ttl_ms: Option<u64>,
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All mutations are durable.
    Committed,
    /// Nothing was changed; the index of the first mutation whose condition failed.
    Conflict(u32),
}

/// One page of a scan.
#[derive(Clone, Debug)]
pub struct Page {
    /// The records in ascending order of their keys.
    pub entries: Vec<Entry>,
    /// The start of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The store of records; the contract is `wit/store.wit`.
pub trait Store {
    /// Reports whether there is a store at all. Without one every call fails, and
    /// operations that need no state trust what callers present.
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

/// The cost of one Argon2 hash.
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

/// The cost of one PBKDF2 hash (RFC 8018 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pbkdf2Parameters {
    /// The number of iterations.
    pub iterations: u32,
    /// Length of the hash in bytes.
    pub output_length: u32,
}

/// A password hash function with its cost. All except Argon2id serve only to verify hashes
/// of other systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Argon2id (RFC 9106).
    Argon2id {
        /// The cost.
        parameters: HashParameters,
        /// The label of the key that is the secret value K, which stays with the host.
        pepper: Option<&'static str>,
    },
    /// Argon2i (RFC 9106) without a pepper.
    Argon2i(HashParameters),
    /// bcrypt of the first 72 bytes of the password, with a salt of 16 bytes. The hash is
    /// the 23 bytes that bcrypt hashes contain.
    Bcrypt {
        /// The binary logarithm of the number of rounds.
        cost: u32,
    },
    /// scrypt (RFC 7914).
    Scrypt(ScryptParameters),
    /// PBKDF2 with HMAC-SHA256.
    Pbkdf2Sha256(Pbkdf2Parameters),
    /// PBKDF2 with HMAC-SHA512.
    Pbkdf2Sha512(Pbkdf2Parameters),
    /// PBKDF2 with HMAC-SHA1.
    Pbkdf2Sha1(Pbkdf2Parameters),
}

/// Password hashes; the contract is `wit/password-hash.wit`.
pub trait PasswordHash {
    /// Hashes a password.
    fn hash(
        &self,
        function: Function,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Vec<u8>, Unavailable>;
}

/// Message authentication codes under keys that the host derives from its master secret;
/// the contract is `wit/keys.wit`.
pub trait Keys {
    /// Returns the HMAC-SHA256 of `message` under the key with this label.
    fn mac(&self, label: &str, message: &[u8]) -> Result<[u8; 32], Unavailable>;
}

/// The algorithm of a signature that others can verify (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    Eddsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// Returns the `alg` of tokens and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Eddsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }
}

/// The name of a key that signs (`signing.key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// The algorithm of its signatures.
    pub algorithm: Algorithm,
    /// The label that tells it from other keys.
    pub label: String,
}

/// The public half of a key that signs (`signing.public-key`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The thumbprint of the key (RFC 7638).
    pub kid: String,
    /// The JSON Web Key with the members that the thumbprint covers, as JSON text.
    pub jwk: String,
}

/// Signatures that others can verify; the contract is `wit/signing.wit`.
pub trait Signing {
    /// Returns the public halves of these keys, in this order.
    fn public_keys(&self, keys: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable>;
    /// Signs the header and payload of a token.
    fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, Unavailable>;
    /// Reports whether this is the signature of the message under a public key.
    fn verify(
        &self,
        algorithm: Algorithm,
        jwk: &str,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Unavailable>;
}

/// Wall-clock time.
pub trait Clock {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
    /// Returns microseconds since a fixed but unknown time; never decreases.
    fn monotonic_us(&self) -> u64;
}

/// A cryptographically secure source of random bytes.
pub trait Random {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Unavailable>;

    /// Creates a random id.
    fn id(&self) -> Result<Id, Unavailable> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        Ok(Id::from_bytes(bytes))
    }
}

/// The severity of a line in the operator's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Useful for debugging.
    Debug,
    /// Normal operation.
    Info,
    /// The operator should look into it at some time.
    Warn,
    /// The operator should look into it immediately.
    Error,
}

/// An operation that has ended (`telemetry.operation-event`).
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// The name of the operation.
    pub operation: &'a str,
    /// The error code; `None` if it succeeded.
    pub code: Option<i32>,
    /// The duration in microseconds.
    pub duration_us: u64,
    /// The facts for the audit log, if they were requested.
    pub audit: Option<Audit>,
}

/// The caller, the subject and the input of an operation, for the audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The kind of credential that the caller presented.
    pub credential: Credential,
    /// The actor that the credential authenticated.
    pub actor: Option<String>,
    /// The session of an access token.
    pub session_id: Option<Id>,
    /// The account that the operation was about.
    pub account: Option<Id>,
    /// A JSON object without secrets; `None` if the input must not be shown.
    pub input: Option<String>,
}

/// The kind of credential that a caller presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential.
    Anonymous,
    /// An access token.
    AccessToken,
    /// An API key.
    ApiKey,
    /// No credential, since the operator needs none.
    Operator,
}

/// Counters, log lines and audit lines to the host, and metrics from it.
pub trait Telemetry {
    /// Writes a line to the operator's log.
    fn log(&self, severity: Severity, message: &str, fields: &Map<String, Value>);
    /// Reports the start of an operation. Returns whether its end should include audit
    /// facts.
    fn operation_began(&self, operation: &str) -> bool;
    /// Counts the end of the operation that began last.
    fn operation_ended(&self, ended: &Ended);
    /// Reports an audit record that was committed.
    fn audited(&self, record: &str);
    /// Returns the current metrics.
    fn snapshot(&self) -> Metrics;
}

/// The severities of RFC 5424 that MCP uses, least severe first.
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
    /// Sends one JSON-RPC notification immediately; it is lost if the client accepts none.
    fn notify(&self, notification: &str);
    /// Registers this request, so that `cancel` finds it by its id.
    fn started(&self, id: &str);
    /// Stops the work on another request of the same client.
    fn cancel(&self, id: &str);
    /// Returns the log level that this connection requested.
    fn log_level(&self) -> Option<LogLevel>;
    /// Sets the log level for the connection.
    fn set_log_level(&self, level: LogLevel);
}

/// The subject of a message to the owner of an account.
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
    /// A change to another address was requested; the message goes to the current one.
    EmailChangeRequested,
    /// The account has another address; the message goes to the previous one.
    EmailChanged,
    /// The account has another second factor, other recovery codes, or no second factor.
    SecondFactorChanged,
    /// The correct password came from a source that was not known before.
    LoginFromNewSource,
    /// An API key was created for the account, or one of its keys was rotated.
    ApiKeyCreated,
}

/// A message to the owner of an account.
#[derive(Clone, Debug)]
pub struct Message {
    /// The subject of the message.
    pub kind: MessageKind,
    /// The email address.
    pub to: String,
    /// The user name of the account.
    pub username: String,
    /// The id of the account.
    pub user_id: Id,
    /// The code for the owner to enter, and when it expires; a notice has none.
    pub code: Option<(Secret, Timestamp)>,
}

/// Messages to the owners of accounts; the contract is `wit/delivery.wit`.
pub trait Delivery {
    /// Accepts a message for delivery, and returns before it is delivered.
    fn deliver(&self, message: &Message) -> Result<(), Unavailable>;
}

/// A document that was fetched (`documents.document`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its content.
    pub body: Vec<u8>,
    /// How long its server permits to keep it; `None` if the server does not say.
    pub fresh_for: Option<Duration>,
}

/// Why there is no document (`documents.fetch-error`).
#[derive(Clone, Debug)]
pub enum FetchError {
    /// The URL may not be fetched, or leads to no such document.
    Unusable(String),
    /// It cannot be fetched now.
    Unavailable(Unavailable),
}

/// Public documents on the web; the contract is `wit/documents.wit`.
pub trait Documents {
    /// Reports whether documents can be fetched at all.
    fn is_there(&self) -> bool {
        true
    }
    /// Fetches a JSON document of at most `max_bytes`.
    fn get(&self, url: &str, max_bytes: u32) -> Result<Document, FetchError>;
}

/// All ports together.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// Records.
    pub store: &'a dyn Store,
    /// Password hashes.
    pub password_hash: &'a dyn PasswordHash,
    /// Message authentication codes.
    pub keys: &'a dyn Keys,
    /// Signatures that others can verify.
    pub signing: &'a dyn Signing,
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
    /// Public documents on the web.
    pub documents: &'a dyn Documents,
}
