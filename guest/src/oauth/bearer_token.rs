//! The bearer token in the header field `authorization` (RFC 6750 section 2.1).

use crate::mcp::Response;

/// Returns the token, or `None` if the header field is missing or has another scheme.
pub fn read(authorization: Option<&str>) -> Option<&str> {
    let authorization = authorization?.trim();
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim_start())
}

/// Returns the response to a request without a bearer token. RFC 6750 section 3.1: it has no
/// error code, because the client may only not know yet that it needs a token.
pub fn required() -> Response {
    let challenge = "Bearer realm=\"user-auth\"".to_owned();
    Response {
        status: 401,
        headers: vec![("www-authenticate".to_owned(), challenge)],
        body: None,
    }
}
