//! What browsers are told of the web pages that may call (the CORS protocol of the
//! Fetch standard), and what every answer tells them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::Policy;

/// How long a browser may keep what it was told.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The headers of MCP that clients send and read.
const MCP: [HeaderName; 5] = [
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("last-event-id"),
];

/// Of W3C Trace Context and W3C Baggage, which what traces a page adds by itself.
const TRACE: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// The same pages as [`Allowed`](super::Allowed) admits, and no cookies: there are
/// none.
pub(super) fn layer(policy: &Policy) -> CorsLayer {
    let allowed = Arc::new(policy.allowed.clone());
    let admits = move |origin: &HeaderValue, _: &_| {
        origin
            .to_str()
            .is_ok_and(|origin| allowed.admits_page_of(origin))
    };
    let mut sent = vec![
        ACCEPT,
        AUTHORIZATION,
        CONTENT_TYPE,
        policy.key_header.name().clone(),
    ];
    sent.extend(MCP);
    sent.extend(TRACE);
    let mut read = vec![RETRY_AFTER, WWW_AUTHENTICATE];
    read.extend(MCP);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(admits))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(sent)
        .expose_headers(read)
        .max_age(MAX_AGE)
}

/// Sets what keeps a browser from taking an answer for a page, from keeping it, and
/// from telling others of it.
pub(super) fn secure(headers: &mut HeaderMap, is_https: bool) {
    let fields = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (REFERRER_POLICY, "no-referrer"),
        // RFC 6749 §5.1: an answer may hold tokens.
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}
