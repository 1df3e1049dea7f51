//! The headers that tell browsers which web pages may call (the CORS protocol of the
//! Fetch standard), and the security headers of every response.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    RETRY_AFTER, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::http::policy::Policy;

/// How long a browser may cache a preflight response.
const MAX_AGE: Duration = Duration::from_secs(600);
/// MCP headers that clients send and read.
const MCP: [HeaderName; 5] = [
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("last-event-id"),
];

/// Headers of W3C Trace Context and W3C Baggage, which tracing libraries add to the
/// requests of a page.
const TRACE: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Returns the CORS layer for the pages that [`HostPolicy`](crate::http::HostPolicy) admits.
/// Credentials mode is off, since there are no cookies.
pub(crate) fn layer(policy: &Policy) -> CorsLayer {
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

/// Returns the CORS layer for routes that all pages may call. They are called without
/// credentials.
pub(crate) fn public_layer() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, MCP[0].clone()])
        .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE])
        .max_age(MAX_AGE)
}

/// Sets the headers that keep a browser from interpreting a response as a page, unless the
/// component says that it is one, from
/// caching it, and from leaking its address.
pub(crate) fn secure(headers: &mut HeaderMap, is_https: bool) {
    let fields = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    // The pages of the component have policies of their own.
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(nothing);
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // RFC 6749 §5.1: a response may contain tokens, unless the component says otherwise.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    if is_https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}
