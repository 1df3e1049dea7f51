//! `GET /logo`: the logo on the pages.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};

use crate::http::body::{Body, Response};
use crate::http::respond::Wording;
use crate::logo::Logo;

/// It changes only when the server is started again.
const CACHE: &str = "public, max-age=3600";

pub(crate) fn logo(logo: &Logo, method: &Method) -> Response {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Wording::default().method_not_allowed("GET, HEAD");
    }
    let mut response = Response::new(Body::from(logo.bytes.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(logo.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}
