//! The forms of responses: those of the component, errors, and the host's own documents.
//! The callers decide what to answer.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::{Field, McpResponse};
use crate::error::{CallError, error_response, invalid_request};
use crate::outcome::ErrorCode;

pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    let message = format!("method not allowed; use {allow}");
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, &message);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert("allow", allow);
    response
}

/// Returns the response to a request that never reached the component.
pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    respond(status, &invalid_request(message))
}

/// Returns the response to a caller over its rate limit.
pub(super) fn limited(seconds: u64, id: Value) -> Response {
    let details = json!({ "retry_after_seconds": seconds });
    let body = error_response(ErrorCode::RateLimit, details, id);
    retry_after(respond(StatusCode::TOO_MANY_REQUESTS, &body), seconds)
}

/// Returns the response for a call to which the component produced none.
pub(super) fn unavailable(error: &CallError, id: Value) -> Response {
    let response = respond(StatusCode::SERVICE_UNAVAILABLE, &error.to_json_rpc(id));
    retry_after(response, error.retry_after().as_secs())
}

pub(super) fn retry_after(mut response: Response, seconds: u64) -> Response {
    let seconds = HeaderValue::from(seconds);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

pub(super) fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer as one JSON document.
pub(super) fn plain(answered: Result<McpResponse, CallError>, id: Value) -> Response {
    match answered {
        Ok(response) => finish(response),
        Err(error) => unavailable(&error, id),
    }
}

fn finish(answer: McpResponse) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if answer.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for field in answer.headers {
        insert(headers, field);
    }
    if let Some(body) = answer.body {
        *response.body_mut() = Body::from(body);
    }
    response
}

/// Adds a header of the component, unless it is one that frames the message.
fn insert(headers: &mut HeaderMap, field: Field) {
    let name = HeaderName::try_from(field.name);
    let value = HeaderValue::try_from(field.value);
    let (Ok(name), Ok(value)) = (name, value) else {
        warn!("the component sent an invalid header field, which is left out");
        return;
    };
    match name.as_str() {
        "connection" | "content-length" | "transfer-encoding" | "upgrade" | "trailer" => {
            warn!(%name, "the component may not set this header; it is left out");
        }
        _ => {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_cannot_frame_the_message() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-length", "1"),
            ("x y", "1"),
            ("x-z", "a\nb"),
            ("x-ok", "1"),
        ] {
            insert(
                &mut headers,
                Field {
                    name: name.into(),
                    value: value.into(),
                },
            );
        }
        assert_eq!(headers.len(), 1);
    }
}
