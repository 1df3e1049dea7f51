//! The one error type of the operations.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde_json::{Map, Value, json};

use crate::ports::Unavailable;
use crate::types::time::Timestamp;

/// The result of whatever may fail as an operation does.
pub type Result<T> = std::result::Result<T, AuthError>;

/// What sort of failure it is; each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request breaks a rule of the business: invalid input, a conflict.
    Application,
    /// The caller is not who it must be: wrong password, bad or expired token.
    Authentication,
    /// The caller is known and may not do this.
    Authorization,
    /// Too many requests or attempts.
    RateLimit,
    /// The store, the hash queue or another capability is unavailable.
    ResourceUnavailable,
}

impl Kind {
    /// Every kind, in the order of the codes.
    pub const ALL: [Kind; 5] = [
        Kind::Application,
        Kind::Authentication,
        Kind::Authorization,
        Kind::RateLimit,
        Kind::ResourceUnavailable,
    ];

    /// The code in the error object.
    pub fn code(self) -> i32 {
        match self {
            Kind::Application => -32000,
            Kind::Authentication => -32001,
            Kind::Authorization => -32002,
            Kind::RateLimit => -32003,
            Kind::ResourceUnavailable => -32004,
        }
    }

    /// The HTTP status, where the failure is one of the transport.
    pub fn status(self) -> u16 {
        match self {
            Kind::Application => 200,
            Kind::Authentication => 401,
            Kind::Authorization => 403,
            Kind::RateLimit => 429,
            Kind::ResourceUnavailable => 503,
        }
    }

    /// What it means, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::Application => {
                "The request breaks a rule: invalid or missing input, or a conflict."
            }
            Kind::Authentication => {
                "The caller is not authenticated: wrong credentials, or a bad or expired token."
            }
            Kind::Authorization => "The caller is authenticated and may not do this.",
            Kind::RateLimit => "Too many requests or attempts; wait as long as `details` says.",
            Kind::ResourceUnavailable => {
                "A resource is unavailable for the moment; try again as `details` says."
            }
        }
    }
}

/// Why an operation failed, as its caller may see it: no secret, no path, and
/// nothing that tells whether an account exists.
#[derive(Clone, Debug)]
pub struct AuthError(Box<Reason>);

/// What there is to say of a failure.
#[derive(Clone, Debug)]
pub struct Reason {
    /// What sort of failure it is.
    pub kind: Kind,
    /// The operation that failed, once that is known.
    pub operation: Option<&'static str>,
    /// One sentence for people.
    pub message: String,
    /// What was wrong, what was expected and what to do.
    pub details: Map<String, Value>,
}

impl AuthError {
    /// A failure with nothing more to say than its message.
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

    /// Says which operation failed, unless a deeper one has said so already.
    pub fn during(mut self, operation: &'static str) -> AuthError {
        self.operation.get_or_insert(operation);
        self
    }

    /// The input breaks rules; `fields` says field by field what is wrong.
    pub fn invalid(fields: Vec<FieldError>) -> AuthError {
        let fields: Vec<Value> = fields.iter().map(FieldError::to_json).collect();
        AuthError::new(Kind::Application, "Business validation failed").detail("fields", fields)
    }

    /// A session or token that is not, or no longer, good for anything. One
    /// text for every reason, so that none can be told from another.
    pub fn invalid_token() -> AuthError {
        AuthError::new(Kind::Authentication, "The token is not valid")
            .detail("action", "log in again")
    }

    /// A code that is not, or no longer, good for anything. One text for every
    /// reason.
    pub fn invalid_code() -> AuthError {
        AuthError::new(Kind::Authentication, "The code is not valid")
            .detail("action", "ask for a new one")
    }

    /// The caller tried too often.
    pub fn too_many(retry_after_seconds: u64) -> AuthError {
        AuthError::new(Kind::RateLimit, "Too many attempts")
            .detail("retry_after_seconds", retry_after_seconds)
    }

    /// Something that the service needs is away. One text for every reason.
    pub fn unavailable(retry_after_seconds: u64) -> AuthError {
        AuthError::new(
            Kind::ResourceUnavailable,
            "The service is unavailable for the moment",
        )
        .detail("retry_after_seconds", retry_after_seconds)
    }

    /// This deployment does not have what it takes, now or later.
    pub fn not_offered() -> AuthError {
        AuthError::new(
            Kind::ResourceUnavailable,
            "This deployment does not have what that takes",
        )
        .detail(
            "action",
            "call the service that issues the tokens; the documentation tells what each build offers",
        )
    }

    /// The error object: `{code, message, data: {operation, module, timestamp,
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

    /// How long the caller should wait, where it should.
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
        // The reason has gone to the host's log; here it could tell of paths.
        AuthError::unavailable(u64::from(unavailable.retry_after_ms).div_ceil(1000).max(1))
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.kind.code())
    }
}

impl std::error::Error for AuthError {}

/// What is wrong with one field of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where: a JSON path such as `$.username`.
    pub path: String,
    /// What is wrong, and what was expected.
    pub problem: String,
}

impl FieldError {
    /// At the top level of the input.
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
