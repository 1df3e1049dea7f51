//! `/verify`: what reverse proxies ask of each request that they guard.
//!
//! Any method will do, and what comes as a body is not looked at: some proxies pass
//! both on as they came. Origins are not looked at either: they are those of the pages
//! that the proxy serves, and nobody but the proxy sees the answer.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::mcp::{fields, plain};
use super::{App, Caller, refuse};

pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut asked = url::form_urlencoded::parse(query.as_bytes());
    // What the owner of the credential has to be permitted.
    let permission = asked.find(|(name, _)| name == "permission");
    let permission = permission.map(|(_, value)| value.into_owned());
    let headers = match fields(request.headers(), &app.policy.key_header) {
        Ok(headers) => headers,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let from = app
        .policy
        .proxies
        .client(caller.peer.ip(), request.headers());
    let answered = app
        .plugin
        .forward_auth(&headers, Some(&from.to_string()), permission.as_deref())
        .await;
    app.judge(plain(answered, Value::Null), None)
}
