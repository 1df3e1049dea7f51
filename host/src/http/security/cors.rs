//! The header fields that tell browsers what they may do with a response.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderName, HeaderValue};
use user_auth_origins::fields::{Field, SECURITY};

/// Adds the fields that say which pages may read a response.
pub(crate) fn add(fields: Vec<Field<'_>>, headers: &mut HeaderMap) {
    for (name, value) in fields {
        // An origin that was admitted is plain text.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Sets the header fields of every response.
pub(crate) fn secure(headers: &mut HeaderMap, is_https: bool) {
    for (name, value) in SECURITY {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        // The component may know that a response can be cached, or that it is a page.
        if name == CACHE_CONTROL || name == CONTENT_SECURITY_POLICY {
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
