//! The words and numbers of MCP that other files need, and a message as its transport
//! hands it over.

/// The versions that are spoken, newest first.
pub const SUPPORTED_VERSIONS: [&str; 5] = [
    "2026-07-28",
    "2025-11-25",
    "2025-06-18",
    "2025-03-26",
    "2024-11-05",
];

/// How long clients may keep what changes only with the version of the component.
pub const STATIC_TTL_MS: u64 = 60 * 60 * 1000;

/// The most messages in one JSON-RPC batch.
pub const MAX_BATCH: usize = 64;

/// What the name of each tool begins with.
pub const TOOL_PREFIX: &str = "user-auth_";

/// The name of the tool that runs an operation.
pub fn tool_name(operation: &str) -> String {
    format!("{TOOL_PREFIX}{operation}")
}

/// What carried a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP: one POST.
    Http,
    /// One line of standard input, written by the local operator.
    Stdio,
}

/// One message, or one batch of the versions that had them.
pub struct Request {
    /// What carried it.
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
