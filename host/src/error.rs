//! Errors of building a plugin and of calling it. Those of a part, such as the store or the
//! delivery, are with that part.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::outcome::ErrorCode;
use crate::plugin::loader::ComponentError;
use crate::time;

/// Reasons why a [`Plugin`](crate::Plugin) or [`UserAuthHost`](crate::UserAuthHost) could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A required part is missing.
    #[error("the builder has no {0}: call `{0}` on it")]
    Missing(&'static str),
    /// The component cannot be used.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The machine cannot run WebAssembly with these limits.
    #[error("the sandbox cannot be set up: {0}")]
    Engine(String),
    /// The threads for password hashes could not be started.
    #[error("the threads for password hashes cannot be started: {0}")]
    Hasher(io::Error),
}

/// The call produced no response. The component's own errors are not among these: they
/// are responses.
///
/// The variants are for the log of the host's operator. A client sees the same error for
/// all of them (-32004), as [`CallError::to_json_rpc`] writes it: internal failures of the
/// component do not concern it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component trapped: it panicked or is broken.
    #[error("the component trapped: {0}")]
    Trapped(String),
    /// The call exceeded [`Limits::cpu_per_call`](crate::Limits::cpu_per_call).
    #[error("the component ran out of processor time")]
    OutOfCpu,
    /// The call exceeded
    /// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call).
    #[error("the component did not respond in time")]
    OutOfTime,
    /// The component needed more than
    /// [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    #[error("the component ran out of memory")]
    OutOfMemory,
    /// The component made more than
    /// [`Limits::host_calls_per_call`](crate::Limits::host_calls_per_call), or reported
    /// more than [`Limits::operations_per_call`](crate::Limits::operations_per_call).
    #[error("the component called the host too often")]
    OutOfHostCalls,
    /// The component read and wrote more than
    /// [`Limits::store_bytes_per_call`](crate::Limits::store_bytes_per_call).
    #[error("the component read from and wrote to the store too much")]
    OutOfStoreBytes,
    /// The response cannot be forwarded: it is larger than
    /// [`Limits::answer_bytes`](crate::Limits::answer_bytes) or
    /// [`Limits::answer_header_bytes`](crate::Limits::answer_header_bytes), not JSON,
    /// or has a status that does not end a request.
    #[error("the component's response cannot be forwarded: {0}")]
    Malformed(&'static str),
    /// Too many other calls were running.
    #[error("too many calls are running")]
    Busy,
}

impl CallError {
    /// Returns the time after which a retry is worthwhile.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Busy => Duration::from_secs(1),
            _ => Duration::from_secs(5),
        }
    }

    /// Returns the JSON-RPC error response for the request with this id, or `null` if
    /// there is no id.
    pub fn to_json_rpc(&self, id: Value) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "error": self.to_object("mcp")})
    }

    /// Returns the error object that a client sees; `operation` is what it called.
    pub(crate) fn to_object(&self, operation: &str) -> Value {
        let seconds = self.retry_after().as_secs();
        let details = json!({ "retry_after_seconds": seconds });
        error_object(ErrorCode::ResourceUnavailable, operation, details)
    }
}

/// Returns the error object for a request that never reached an operation, the same as
/// operations use.
pub(crate) fn error_object(kind: ErrorCode, operation: &str, details: Value) -> Value {
    json!({
        "code": kind.code(),
        "message": kind.message(),
        "data": {
            "operation": operation,
            "module": "UserAuth",
            "timestamp": time::now(),
            "details": details,
        },
    })
}

/// Returns the error object for a request that is not valid and never reached the
/// component.
pub(crate) fn invalid_request(message: &str) -> Value {
    json!({ "code": -32600, "message": message })
}

/// The limit that ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Cpu,
    Memory,
    HostCalls,
    StoreBytes,
}

impl From<Exceeded> for CallError {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Cpu => Self::OutOfCpu,
            Exceeded::Memory => Self::OutOfMemory,
            Exceeded::HostCalls => Self::OutOfHostCalls,
            Exceeded::StoreBytes => Self::OutOfStoreBytes,
        }
    }
}
