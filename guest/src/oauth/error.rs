//! The errors of OAuth endpoints (RFC 6749 section 5.2).

use serde_json::json;

use super::parameters::Repeated;
use crate::error::{AuthError, ErrorKind};
use crate::json::JsonText;
use crate::mcp::{self, Response};

/// An error of an OAuth endpoint.
#[derive(Debug)]
pub struct OAuthError {
    /// The code, which programs read.
    pub code: &'static str,
    /// What is wrong, for developers.
    pub description: String,
    /// The HTTP status, where the error is a response of its own.
    pub status: u16,
    /// The seconds to wait before the next attempt, if that may help.
    pub retry_after: Option<u64>,
}

/// The result of what may fail with an [`OAuthError`].
pub type Result<T> = std::result::Result<T, OAuthError>;

impl OAuthError {
    /// Creates an error that the client has to correct.
    pub fn new(code: &'static str, description: impl Into<String>) -> OAuthError {
        OAuthError {
            code,
            description: description.into(),
            status: match code {
                "invalid_client" | "invalid_token" => 401,
                "insufficient_scope" => 403,
                _ => 400,
            },
            retry_after: None,
        }
    }

    /// A parameter is missing, malformed, or occurs twice.
    pub fn invalid_request(description: impl Into<String>) -> OAuthError {
        OAuthError::new("invalid_request", description)
    }

    /// A code or a refresh token that does not work. The text is the same for every reason.
    pub fn invalid_grant() -> OAuthError {
        OAuthError::new(
            "invalid_grant",
            "the code or the refresh token is not valid",
        )
    }

    /// A client that is unknown or has not proved who it is. The text is the same for every
    /// reason.
    pub fn invalid_client() -> OAuthError {
        OAuthError::new(
            "invalid_client",
            "the client is unknown or not authenticated",
        )
    }

    /// What a client says about itself cannot be registered (RFC 7591 section 3.2.2).
    pub fn invalid_client_metadata(description: impl Into<String>) -> OAuthError {
        OAuthError::new("invalid_client_metadata", description)
    }

    /// A registration access token that does not work (RFC 7592 section 2). The text is the
    /// same for every reason.
    pub fn invalid_registration_token() -> OAuthError {
        OAuthError::new(
            "invalid_token",
            "the registration access token is not valid",
        )
    }

    /// A failure of the domain: a caller that is not authenticated has shown no valid grant,
    /// and all else is no fault of the grant, which its client must keep (RFC 6749 section
    /// 5.2 has no code for it).
    pub fn of(error: &AuthError) -> OAuthError {
        let retry_after = error.kind.retry_after().map(|wait| wait.as_secs());
        match error.kind {
            ErrorKind::Authentication | ErrorKind::Authorization => OAuthError::invalid_grant(),
            ErrorKind::Invalid(_) | ErrorKind::Application => {
                OAuthError::invalid_request(error.message.clone())
            }
            ErrorKind::RateLimit { .. } | ErrorKind::ResourceUnavailable { .. } => OAuthError {
                code: "temporarily_unavailable",
                description: error.message.clone(),
                status: error.kind.status(),
                retry_after,
            },
        }
    }

    /// Returns the error as a response.
    pub fn respond(&self) -> Response {
        let mut headers = Vec::new();
        if let Some(seconds) = self.retry_after {
            headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        if matches!(self.status, 401 | 403) {
            let challenge = match self.code {
                // RFC 6750 section 3.
                "invalid_token" => "Bearer realm=\"user-auth\", error=\"invalid_token\"",
                "insufficient_scope" => {
                    "Bearer realm=\"user-auth\", error=\"insufficient_scope\", scope=\"openid\""
                }
                _ => "Basic realm=\"user-auth\"",
            };
            headers.push(("www-authenticate".to_owned(), challenge.to_owned()));
        }
        let body = json!({"error": self.code, "error_description": self.description});
        mcp::json_response(self.status, headers, JsonText::of(&body))
    }
}

impl From<Repeated> for OAuthError {
    fn from(Repeated(name): Repeated) -> OAuthError {
        OAuthError::invalid_request(format!("the parameter '{name}' occurs more than once"))
    }
}

impl From<AuthError> for OAuthError {
    fn from(error: AuthError) -> OAuthError {
        OAuthError::of(&error)
    }
}
