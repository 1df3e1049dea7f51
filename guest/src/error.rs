//! Error type of the operations.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::ports::Unavailable;
use crate::types::time::Timestamp;

/// Result of anything that can fail with an [`AuthError`].
pub type Result<T> = std::result::Result<T, AuthError>;

/// The stable code of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
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

impl ErrorCode {
    /// All codes, in their order.
    pub const ALL: [ErrorCode; 5] = [
        ErrorCode::Application,
        ErrorCode::Authentication,
        ErrorCode::Authorization,
        ErrorCode::RateLimit,
        ErrorCode::ResourceUnavailable,
    ];

    /// Returns the code for the error object.
    pub fn code(self) -> i32 {
        match self {
            ErrorCode::Application => -32000,
            ErrorCode::Authentication => -32001,
            ErrorCode::Authorization => -32002,
            ErrorCode::RateLimit => -32003,
            ErrorCode::ResourceUnavailable => -32004,
        }
    }

    /// Returns the HTTP status for failures that are answered by the transport.
    pub fn status(self) -> u16 {
        match self {
            ErrorCode::Application => 200,
            ErrorCode::Authentication => 401,
            ErrorCode::Authorization => 403,
            ErrorCode::RateLimit => 429,
            ErrorCode::ResourceUnavailable => 503,
        }
    }

    /// Returns a one-sentence description.
    pub fn meaning(self) -> &'static str {
        match self {
            ErrorCode::Application => {
                "The request breaks a rule: invalid or missing input, or a conflict."
            }
            ErrorCode::Authentication => {
                "The caller is not authenticated: wrong credentials, or a bad or expired token."
            }
            ErrorCode::Authorization => "The caller is authenticated but may not do this.",
            ErrorCode::RateLimit => {
                "Too many requests or attempts; wait as long as `details` says, then try again."
            }
            ErrorCode::ResourceUnavailable => {
                "A resource is temporarily unavailable; try again as `details` says."
            }
        }
    }
}

/// The kind of an error, with the facts that callers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// These fields of the input are missing, unknown or malformed.
    Invalid(Vec<FieldError>),
    /// The request breaks another business rule.
    Application,
    /// The caller is not authenticated.
    Authentication,
    /// The caller is authenticated but may not do this.
    Authorization,
    /// Too many requests or attempts.
    RateLimit {
        /// How long to wait before the next attempt, in whole seconds.
        retry_after: Duration,
    },
    /// A capability is unavailable.
    ResourceUnavailable {
        /// How long to wait before the next attempt, in whole seconds; `None` if retrying
        /// will not help.
        retry_after: Option<Duration>,
    },
}

impl ErrorKind {
    /// Returns the stable code.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ErrorKind::Invalid(_) | ErrorKind::Application => ErrorCode::Application,
            ErrorKind::Authentication => ErrorCode::Authentication,
            ErrorKind::Authorization => ErrorCode::Authorization,
            ErrorKind::RateLimit { .. } => ErrorCode::RateLimit,
            ErrorKind::ResourceUnavailable { .. } => ErrorCode::ResourceUnavailable,
        }
    }

    /// Returns the code for the error object.
    pub fn code(&self) -> i32 {
        self.error_code().code()
    }

    /// Returns the HTTP status for failures that are answered by the transport.
    pub fn status(&self) -> u16 {
        self.error_code().status()
    }

    /// Returns how long to wait before the next attempt, if one may help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ErrorKind::RateLimit { retry_after } => Some(*retry_after),
            ErrorKind::ResourceUnavailable { retry_after } => *retry_after,
            ErrorKind::Invalid(_)
            | ErrorKind::Application
            | ErrorKind::Authentication
            | ErrorKind::Authorization => None,
        }
    }
}

/// The reason for an error, where one next step follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The access token or the refresh token is not valid.
    InvalidToken,
    /// There is no access token, or it is not that of a session.
    NoSession,
    /// The session did not begin recently, or not with the second factor.
    WeakSession,
    /// The challenge of a login, or the code for it, is not valid.
    InvalidChallenge,
    /// The caller lacks a permission, which the details name.
    NotPermitted,
    /// The user has to approve the call.
    NotApproved,
    /// There is no such operation.
    UnknownOperation,
    /// There is no such user.
    UnknownUser,
    /// There is no such role.
    UnknownRole,
    /// There is no such session.
    UnknownSession,
    /// There is no such API key.
    UnknownApiKey,
    /// There is no such grant.
    UnknownGrant,
    /// There is no such client.
    UnknownClient,
    /// There is no such resource server.
    UnknownResource,
    /// The account has no second factor, or none to confirm.
    NoSecondFactor,
}

/// Failure of an operation, as its caller may see it. It contains no secrets and no
/// paths, and does not reveal whether an account exists.
#[derive(Clone, Debug)]
pub struct AuthError(Box<Reason>);

/// Contents of an [`AuthError`].
#[derive(Clone, Debug)]
pub struct Reason {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// The reason for the error, where one next step follows from it.
    pub cause: Option<Cause>,
    /// The operation that failed, once known.
    pub operation: Option<&'static str>,
    /// One sentence for people.
    pub message: String,
    /// What was expected and what to do, besides what the kind contains.
    details: Map<String, Value>,
}

impl AuthError {
    /// The operation that the error object names if the failure preceded any operation.
    pub const NO_OPERATION: &str = "mcp";

    /// Creates an error without details.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> AuthError {
        AuthError(Box::new(Reason {
            kind,
            cause: None,
            operation: None,
            message: message.into(),
            details: Map::new(),
        }))
    }

    /// Records the reason for the error.
    pub fn because(mut self, cause: Cause) -> AuthError {
        self.cause = Some(cause);
        self
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
        AuthError::new(ErrorKind::Invalid(fields), "Business validation failed")
    }

    /// Reports a session or token that is invalid, expired or revoked. The text is the
    /// same for every reason, so that callers cannot tell them apart.
    pub fn invalid_token() -> AuthError {
        AuthError::new(ErrorKind::Authentication, "The token is not valid")
            .because(Cause::InvalidToken)
            .detail("action", "log in again")
    }

    /// Reports a code that is invalid, expired or used. The text is the same for every
    /// reason.
    pub fn invalid_code() -> AuthError {
        AuthError::new(ErrorKind::Authentication, "The code is not valid")
            .detail("action", "ask for a new one")
    }

    /// Reports that the caller has made too many attempts.
    pub fn too_many(retry_after: Duration) -> AuthError {
        AuthError::new(ErrorKind::RateLimit { retry_after }, "Too many attempts")
    }

    /// Reports that a required resource is temporarily unavailable. The text is the same
    /// for every reason.
    pub fn unavailable(retry_after: Duration) -> AuthError {
        let retry_after = Some(retry_after);
        AuthError::new(
            ErrorKind::ResourceUnavailable { retry_after },
            "The service is temporarily unavailable",
        )
    }

    /// Reports that this deployment permanently lacks a capability that the call needs.
    pub fn not_offered() -> AuthError {
        AuthError::new(
            ErrorKind::ResourceUnavailable { retry_after: None },
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
                "operation": self.operation.unwrap_or(Self::NO_OPERATION),
                "module": "UserAuth",
                "timestamp": now.to_rfc3339(),
                "details": self.details(),
            }
        })
    }

    /// Returns what was wrong, what was expected and what to do, as JSON.
    pub fn details(&self) -> Map<String, Value> {
        let mut details = self.details.clone();
        if let ErrorKind::Invalid(fields) = &self.kind {
            let fields: Vec<Value> = fields.iter().map(FieldError::to_json).collect();
            details.insert("fields".to_owned(), fields.into());
        }
        if let Some(retry_after) = self.kind.retry_after() {
            let seconds = retry_after.as_secs();
            details.insert("retry_after_seconds".to_owned(), seconds.into());
        }
        details
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
        // The reason is in the host's log; here it could reveal paths.
        let Some(retry_after_ms) = unavailable.retry_after_ms else {
            return AuthError::not_offered();
        };
        let seconds = retry_after_ms.div_ceil(1000).max(1);
        AuthError::unavailable(Duration::from_secs(seconds.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_capability_names_a_delay_in_whole_seconds_only_if_a_retry_helps() {
        let retry_after = |retry_after_ms| {
            let reason = "a path that callers must not see".to_owned();
            let error = AuthError::from(Unavailable {
                reason,
                retry_after_ms,
            });
            assert_eq!(error.kind.error_code(), ErrorCode::ResourceUnavailable);
            assert!(!format!("{error:?}").contains("path"), "{error:?}");
            error.details().get("retry_after_seconds").cloned()
        };
        assert_eq!(retry_after(None), None);
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (u32::MAX, 4_294_968)] {
            assert_eq!(retry_after(Some(ms)), Some(json!(seconds)), "{ms}");
        }
    }
}
