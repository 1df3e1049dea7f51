//! The header fields that tell browsers what they may do with a response.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use user_auth_origins::fields::{Readers, SECURITY};

use crate::http::policy::Policy;

/// Answers a request so that these pages can read the response, and a preflight request by
/// itself.
pub(crate) async fn answer(
    readers: Readers<'_>,
    policy: &Policy,
    request: Request,
    next: Next,
) -> Response {
    let (fields, mut response) = if request.method() == Method::OPTIONS {
        let fields = readers.preflight(policy.key_header.as_str());
        (fields, Response::default())
    } else {
        (readers.response(), next.run(request).await)
    };
    for (name, value) in fields {
        // An origin that was admitted is plain text.
        if let Ok(value) = HeaderValue::from_str(&value) {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Sets the header fields of every response.
pub(crate) fn secure(headers: &mut HeaderMap, is_https: bool) {
    for (name, value) in SECURITY {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        // The component may know that a response can be cached.
        if name == CACHE_CONTROL {
            headers.entry(name).or_insert(value);
        } else {
            headers.insert(name, value);
        }
    }
    if is_https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}
