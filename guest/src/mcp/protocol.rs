//! The constants of MCP, and requests and responses as transports carry them.

/// The supported versions, newest first.
pub const SUPPORTED_VERSIONS: [&str; 5] = [
    "2026-07-28",
    "2025-11-25",
    "2025-06-18",
    "2025-03-26",
    "2024-11-05",
];

/// How long clients may cache results that change only with the version of the component.
pub const STATIC_TTL_MS: u64 = 60 * 60 * 1000;

/// How long clients may cache what depends on the permissions of their caller.
pub const CALLER_TTL_MS: u64 = 60 * 1000;

/// Maximum number of messages in one JSON-RPC batch.
pub const MAX_BATCH: usize = 64;

pub use crate::dispatch::operation::{TOOL_PREFIX, tool_name};

/// The transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP: one POST.
    Http,
    /// One line of standard input, written by the local operator.
    Stdio,
}

/// One message, or one batch in versions that have them.
pub struct Request {
    /// Its transport.
    pub transport: Transport,
    /// Header fields, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The IP address that it came from.
    pub peer: Option<String>,
    /// The message.
    pub body: Vec<u8>,
}

/// Response to a request.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body, or `None` if the response has none.
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value.trim_matches([' ', '\t']))
    }
}
