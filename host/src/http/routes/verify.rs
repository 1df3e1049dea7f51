//! `/verify`: reverse proxies call it for each request that they guard.
//!
//! It accepts any method and ignores the body, since some proxies pass both on
//! unchanged. It ignores origins too: they belong to the pages that the proxy serves,
//! and only the proxy sees the response.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::http::admission::rate_limit::Limiter;
use crate::http::admission::write_timeout::tracked;
use crate::http::app::{App, Caller};
use crate::http::fields::fields;
use crate::http::respond::{limited, plain, refuse};

pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let permission = match permission(request.uri().query().unwrap_or_default()) {
        Ok(permission) => permission,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let headers = match fields(request.headers(), &app.policy.key_header) {
        Ok(headers) => headers,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let from = app
        .policy
        .proxies
        .client_ip(caller.peer.ip(), request.headers());
    // Without a known key there is no limit: a proxy asks on behalf of all its visitors.
    let key = app.limited_key(request.headers());
    if let Some(key) = key.filter(|key| app.knows(key))
        && let Err(seconds) = app.count(Some(&key), from, Limiter::check_verification)
    {
        return limited(seconds, Value::Null);
    }
    let turn = match app.turn(from).await {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    let from = from.to_string();
    let call = app
        .plugin
        .forward_auth(&headers, Some(&from), permission.as_deref());
    let answered = turn.share().run(call).await;
    // The component may not have looked at a key that comes beside an access token.
    let response = app.record_key_result(plain(answered, Value::Null), None);
    tracked(response, None, Some(turn))
}

/// Parses the permission that the owner of the credential must have. A query with
/// anything else in it is rejected: the caller may have meant to ask for more than was
/// read.
fn permission(query: &str) -> Result<Option<String>, String> {
    let problem = |name: &str, problem: &str| {
        format!(
            "the parameter '{name}' {problem}; write /verify?permission=billing:read, or /verify"
        )
    };
    let mut permission = None;
    // The parser skips empty parts.
    let parts = query.split('&').filter(|_| !query.is_empty());
    for part in parts {
        let mut parsed = url::form_urlencoded::parse(part.as_bytes());
        let (name, value) = parsed.next().unwrap_or_default();
        if name != "permission" {
            return Err(problem(&name, "is unknown"));
        }
        if value.is_empty() {
            return Err(problem(&name, "is empty"));
        }
        if permission.replace(value.into_owned()).is_some() {
            return Err(problem(&name, "occurs more than once"));
        }
    }
    Ok(permission)
}
