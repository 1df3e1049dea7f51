//! How a call into the sandbox can fail.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ctx::Exceeded;
use crate::time;

/// The call had no answer. The component's own errors are not among these: they
/// are answers.
///
/// The variants are for the log of whoever runs the host. A client sees
/// 'Resource unavailable' for all of them, as [`CallError::to_json_rpc`] says
/// it: what a component stumbled over is not its business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component trapped: it panicked, or it is broken.
    #[error("the component trapped: {0}")]
    Trapped(String),
    /// It used up [`Limits::cpu_per_call`](crate::Limits::cpu_per_call).
    #[error("the component ran out of processor time")]
    OutOfCpu,
    /// It took longer than
    /// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call).
    #[error("the component did not answer in time")]
    OutOfTime,
    /// It wanted more than [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    #[error("the component ran out of memory")]
    OutOfMemory,
    /// It made more than
    /// [`Limits::host_calls_per_call`](crate::Limits::host_calls_per_call), or counted more
    /// than [`Limits::operations_per_call`](crate::Limits::operations_per_call).
    #[error("the component called the host too often")]
    OutOfHostCalls,
    /// It read and wrote more than
    /// [`Limits::store_bytes_per_call`](crate::Limits::store_bytes_per_call).
    #[error("the component read from the store and wrote to it too much")]
    OutOfStoreBytes,
    /// It gave an answer that cannot be passed on: larger than
    /// [`Limits::answer_bytes`](crate::Limits::answer_bytes) or
    /// [`Limits::answer_header_bytes`](crate::Limits::answer_header_bytes), not JSON, or
    /// with a status that ends no request.
    #[error("the component's answer cannot be passed on: {0}")]
    Malformed(&'static str),
    /// Too many other calls were at work.
    #[error("too many calls are at work")]
    Busy,
}

impl CallError {
    /// When another try is worth while.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Busy => Duration::from_secs(1),
            _ => Duration::from_secs(5),
        }
    }

    /// The JSON-RPC error response that a client gets, to the request with this
    /// id: `null` when there is none to be had.
    pub fn to_json_rpc(&self, id: Value) -> Value {
        let seconds = self.retry_after().as_secs();
        let details = json!({ "retry_after_seconds": seconds });
        error_response(-32004, "Resource unavailable", details, id)
    }
}

/// The JSON-RPC error response with the error object that operations have too, for
/// what never reached one.
pub(crate) fn error_response(code: i32, message: &str, details: Value, id: Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {
            "code": code,
            "message": message,
            "data": {
                "operation": "mcp",
                "module": "UserAuth",
                "timestamp": time::now(),
                "details": details,
            },
        },
    })
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
