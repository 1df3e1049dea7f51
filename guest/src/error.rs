//! Error type of the operations.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde_json::{Map, Value, json};

use crate::ports::Unavailable;
use crate::types::time::Timestamp;

/// Result of anything that can fail with an [`AuthError`].
pub type Result<T> = std::result::Result<T, AuthError>;

/// Category of a failure. Each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request breaks a business rule: invalid input or a conflict.
    Application,
    /// The caller is not authenticated: wrong password, invalid or expired token.
    Authentication,
    /// The caller is authenticated but may not do this.
    Authorization,
    /// Too many requests or attempts.
    RateLimit,
    /// The store, the hash queue or another capability is unavailable.
    ResourceUnavailable,
}

impl Kind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Kind; 5] = [
        Kind::Application,
        Kind::Authentication,
        Kind::Authorization,
        Kind::RateLimit,
        Kind::ResourceUnavailable,
    ];

    /// Returns the code for the error object.
    pub fn code(self) -> i32 {
        match self {
            Kind::Application => -32000,
            Kind::Authentication => -32001,
            Kind::Authorization => -32002,
            Kind::RateLimit => -32003,
            Kind::ResourceUnavailable => -32004,
        }
    }

    /// Returns the HTTP status for failures that are answered by the transport.
    pub fn status(self) -> u16 {
        match self {
            Kind::Application => 200,
            Kind::Authentication => 401,
            Kind::Authorization => 403,
            Kind::RateLimit => 429,
            Kind::ResourceUnavailable => 503,
        }
    }

    /// Returns a one-sentence description.
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::Application => {
                "The request breaks a rule: invalid or missing input, or a conflict."
            }
            Kind::Authentication => {
                "The caller is not authenticated: wrong credentials, or a bad or expired token."
            }
            Kind::Authorization => "The caller is authenticated but may not do this.",
            Kind::RateLimit => {
                "Too many requests or attempts; wait as long as `details` says, then try again."
            }
            Kind::ResourceUnavailable => {
                "A resource is temporarily unavailable; try again as `details` says."
            }
        }
    }
}

/// Failure of an operation, as its caller may see it. It contains no secrets and no
/// paths, and does not reveal whether an account exists.
#[derive(Clone, Debug)]
pub struct AuthError(Box<Reason>);

/// Contents of an [`AuthError`].
#[derive(Clone, Debug)]
pub struct Reason {
    /// Category of the failure.
    pub kind: Kind,
    /// The operation that failed, once known.
    pub operation: Option<&'static str>,
    /// One sentence for people.
    pub message: String,
    /// Details: what was wrong, what was expected and what to do.
    pub details: Map<String, Value>,
}

impl AuthError {
    /// Creates an error without details.
    pub fn new(kind: Kind, message: impl Into<String>) -> AuthError {
        AuthError(Box::new(Reason {
            kind,
            operation: None,
            message: message.into(),
            details: Map::new(),
        }))
    }

    /// Adds a detail.
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> AuthError {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Records which operation failed, unless an inner operation has been recorded
    /// already.
    pub fn during(mut self, operation: &'static str) -> AuthError {
        self.operation.get_or_insert(operation);
        self
    }

    /// Reports an invalid input; `fields` lists the problem of each field.
    pub fn invalid(fields: Vec<FieldError>) -> AuthError {
        let fields: Vec<Value> = fields.iter().map(FieldError::to_json).collect();
        AuthError::new(Kind::Application, "Business validation failed").detail("fields", fields)
    }

    /// Reports a session or token that is invalid, expired or revoked. The text is the
    /// same for every reason, so that callers cannot tell them apart.
    pub fn invalid_token() -> AuthError {
        AuthError::new(Kind::Authentication, "The token is not valid")
            .detail("action", "log in again")
    }

    /// Reports a code that is invalid, expired or used. The text is the same for every
    /// reason.
    pub fn invalid_code() -> AuthError {
        AuthError::new(Kind::Authentication, "The code is not valid")
            .detail("action", "ask for a new one")
    }

    /// Reports that the caller has made too many attempts.
    pub fn too_many(retry_after_seconds: u64) -> AuthError {
        AuthError::new(Kind::RateLimit, "Too many attempts")
            .detail("retry_after_seconds", retry_after_seconds)
    }

    /// Reports that a required resource is temporarily unavailable. The text is the same
    /// for every reason.
    pub fn unavailable(retry_after_seconds: u64) -> AuthError {
        AuthError::new(
            Kind::ResourceUnavailable,
            "The service is temporarily unavailable",
        )
        .detail("retry_after_seconds", retry_after_seconds)
    }

    /// Reports that this deployment permanently lacks a capability that the call needs.
    pub fn not_offered() -> AuthError {
        AuthError::new(
            Kind::ResourceUnavailable,
            "This deployment lacks a capability that the call needs",
        )
        .detail(
            "action",
            "call the service that issues the tokens; the documentation lists what each build offers",
        )
    }

    /// Returns the error object: `{code, message, data: {operation, module, timestamp,
    /// details}}`.
    pub fn to_object(&self, now: Timestamp) -> Value {
        json!({
            "code": self.kind.code(),
            "message": self.message,
            "data": {
                "operation": self.operation.unwrap_or("mcp"),
                "module": "UserAuth",
                "timestamp": now.to_rfc3339(),
                "details": self.details,
            }
        })
    }

    /// Returns how long the caller should wait before trying again, if it should.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.details.get("retry_after_seconds")?.as_u64()
    }
}

impl Deref for AuthError {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl DerefMut for AuthError {
    fn deref_mut(&mut self) -> &mut Reason {
        &mut self.0
    }
}

impl From<Unavailable> for AuthError {
    fn from(unavailable: Unavailable) -> AuthError {
        if unavailable.retry_after_ms == 0 {
            return AuthError::not_offered();
        }
        // The reason is in the host's log; here it could reveal paths.
        AuthError::unavailable(u64::from(unavailable.retry_after_ms).div_ceil(1000).max(1))
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.kind.code())
    }
}

impl std::error::Error for AuthError {}

/// Problem with one field of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON path of the field, such as `$.username`.
    pub path: String,
    /// The problem, and what was expected.
    pub problem: String,
}

impl FieldError {
    /// Creates an error for a field at the top level of the input.
    pub fn new(field: &str, problem: impl Into<String>) -> FieldError {
        FieldError {
            path: format!("$.{field}"),
            problem: problem.into(),
        }
    }

    fn to_json(&self) -> Value {
        json!({"path": self.path, "problem": self.problem})
    }
}
