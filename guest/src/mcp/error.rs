//! The failures of methods.

use serde_json::{Value, json};

use crate::error::{AuthError, ErrorKind};
use crate::types::time::Timestamp;

/// A violation of JSON-RPC or MCP, or a failure of the service.
pub enum Failure {
    Protocol(RpcError),
    Auth(AuthError),
    /// A client has to ask its user for more, as this challenge says.
    InsufficientScope(AuthError, String),
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Failure {
        Failure::Protocol(error)
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Failure {
        Failure::Auth(error)
    }
}

/// An error of the protocol itself.
#[derive(Debug)]
pub struct RpcError {
    pub code: i32,
    pub message: String,
    pub data: Option<Value>,
    /// Its HTTP status in the modern era.
    pub status: u16,
}

impl RpcError {
    pub fn new(code: i32, message: &str, status: u16) -> RpcError {
        RpcError {
            code,
            message: message.to_owned(),
            data: None,
            status,
        }
    }

    pub fn invalid_request(message: &str) -> RpcError {
        RpcError::new(-32600, message, 400)
    }

    pub fn invalid_params(message: &str) -> RpcError {
        RpcError::new(-32602, message, 400)
    }

    pub fn data(mut self, data: Value) -> RpcError {
        self.data = Some(data);
        self
    }

    pub fn to_object(&self) -> Value {
        let mut object = json!({"code": self.code, "message": self.message});
        if let Some(data) = &self.data {
            object["data"] = data.clone();
        }
        object
    }
}

/// A request that is refused as a whole. Each door of the component has a form of its own
/// for it.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The error object.
    pub error: Value,
}

impl Refusal {
    /// A request that is not a valid message.
    pub fn new(status: u16, message: &str) -> Refusal {
        Refusal {
            status,
            headers: Vec::new(),
            error: json!({"code": -32600, "message": message}),
        }
    }

    /// A request whose operation, or something before it, failed.
    pub fn of(error: &AuthError, now: Timestamp) -> Refusal {
        let status = match &error.kind {
            ErrorKind::Invalid(_) | ErrorKind::Application => 400,
            kind => kind.status(),
        };
        Refusal {
            status,
            headers: headers(error),
            error: error.to_object(now),
        }
    }
}

/// Returns the header fields that go with the HTTP status of a failure.
pub fn headers(error: &AuthError) -> Vec<(String, String)> {
    let mut headers = retry_after(error);
    if error.kind == ErrorKind::Authentication {
        // RFC 6750 section 3
        let challenge = "Bearer realm=\"user-auth\"".to_owned();
        headers.push(("www-authenticate".to_owned(), challenge));
    }
    headers
}

/// Returns the header field `retry-after` if it is known how long to wait.
pub fn retry_after(error: &AuthError) -> Vec<(String, String)> {
    let field = error.kind.retry_after().map(|retry_after| {
        let seconds = retry_after.as_secs().to_string();
        ("retry-after".to_owned(), seconds)
    });
    field.into_iter().collect()
}
