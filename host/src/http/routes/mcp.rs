//! `POST /mcp`: one message in, its answer out.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::sse;
use crate::api::{McpRequest, Transport};
use crate::embed::client::NoClient;
use crate::error::CallError;
use crate::http::admission::bodies::{self, Kept};
use crate::http::admission::rate_limit::Limiter;
use crate::http::admission::shares::NoMore;
use crate::http::admission::write_timeout::tracked;
use crate::http::app::{App, Caller};
use crate::http::fields::{fields, only_one};
use crate::http::respond::{limited, method_not_allowed, plain, refuse, unavailable};
use crate::outline::Outline;

/// Number of bytes kept of a message that is rejected regardless of its content:
/// enough to find its id. The memory for bodies is reserved for other callers.
const REFUSED_BYTES: usize = 4 << 10;

pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return method_not_allowed("POST");
    }
    if let Some(refusal) = refused_content(&parts.headers) {
        return refusal;
    }
    let headers = match fields(&parts.headers, &app.policy.key_header) {
        Ok(headers) => headers,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let from = app
        .policy
        .proxies
        .client_ip(caller.peer.ip(), &parts.headers);
    let key = app.limited_key(&parts.headers);
    // The body decides for which rate of a known key the request counts.
    let is_known = key.as_ref().is_some_and(|key| app.knows(key));
    let charged = if is_known {
        Ok(())
    } else {
        app.count(key.as_ref(), from, Limiter::check)
    };
    let is_refused = charged.is_err() || app.lacks_key(&parts.headers);
    let keep = if is_refused {
        REFUSED_BYTES
    } else {
        app.plugin.limits().body_bytes
    };
    let share = app.share(from);
    // Read in any case: most clients listen for an answer only once they have sent
    // everything, and its id is in it.
    let kept = bodies::read(body, keep, share.clone().memory(), app.plugin.limits()).await;
    let Kept { body, memory } = match kept {
        Ok(kept) => kept,
        Err(refusal) => return refusal,
    };
    let outline = Outline::of(&body);
    let id = outline.id.unwrap_or(Value::Null);
    let charged = match (is_known, outline.is_verification) {
        (false, _) => charged,
        (true, false) => app.count(key.as_ref(), from, Limiter::check),
        (true, true) => app.count(key.as_ref(), from, Limiter::check_verification),
    };
    if let Err(seconds) = charged {
        return limited(seconds, id);
    }
    let message = McpRequest {
        transport: Transport::Http,
        headers,
        peer: Some(from.to_string()),
        body,
    };
    let guard = caller.in_flight.begin();
    let turn = match share.turn().await {
        Ok(turn) => turn,
        Err(NoMore) => return unavailable(&CallError::Busy, id),
    };
    let plugin = app.plugin.clone();
    let running = turn.share();
    let call = async move |client| {
        let answered = running.run(plugin.handle(message, client)).await;
        drop(memory);
        answered
    };
    let response = if takes_events(&parts.headers) {
        sse::answer(call, id).await
    } else {
        plain(call(Arc::new(NoClient)).await, id)
    };
    tracked(
        app.record_key_result(response, key),
        Some(guard),
        Some(turn),
    )
}

/// Returns the response to a body that is not JSON or is encoded, according to its
/// headers.
fn refused_content(headers: &HeaderMap) -> Option<Response> {
    if let Err(message) = only_one(headers, &CONTENT_TYPE) {
        return Some(refuse(StatusCode::BAD_REQUEST, &message));
    }
    if let Some(other) = other_content_type(headers) {
        let message = format!("the Content-Type is '{other}' and must be application/json");
        return Some(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message));
    }
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if let Some(coding) =
        codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        let coding = String::from_utf8_lossy(coding.as_bytes());
        let message =
            format!("the Content-Encoding is '{coding}'; send the body as it is, without any");
        let mut refusal = refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
        // RFC 9110 section 15.5.16: the codings that are accepted.
        let identity = HeaderValue::from_static("identity");
        refusal.headers_mut().insert(ACCEPT_ENCODING, identity);
        return Some(refusal);
    }
    None
}

/// Returns the media type if there is one and it is not JSON.
fn other_content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    (!essence.eq_ignore_ascii_case("application/json")).then(|| essence.to_owned())
}

/// Returns whether the client explicitly accepts a stream. A wildcard does not count:
/// a client that sends `*/*`, such as curl, accepts JSON as well.
fn takes_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().unwrap_or_default();
            named.eq_ignore_ascii_case("text/event-stream")
                && !parts
                    .filter_map(|parameter| parameter.strip_prefix("q="))
                    .any(is_zero)
        })
}

/// RFC 9110 §12.4.2: a weight of 0 means 'not acceptable'.
fn is_zero(weight: &str) -> bool {
    weight.trim().parse() == Ok(0.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn json_may_have_parameters_or_be_left_unsaid() {
        assert_eq!(other_content_type(&HeaderMap::new()), None);
        for json in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(other_content_type(&headers(CONTENT_TYPE, json)), None);
        }
        let other = other_content_type(&headers(CONTENT_TYPE, "text/plain; x=y"));
        assert_eq!(other.as_deref(), Some("text/plain"));
    }

    #[test]
    fn a_stream_must_be_asked_for_by_name() {
        for (accept, expected) in [
            ("application/json, text/event-stream", true),
            ("text/event-stream;q=0.5", true),
            ("text/event-stream;q=0", false),
            ("*/*", false),
            ("application/json", false),
        ] {
            assert_eq!(takes_events(&headers(ACCEPT, accept)), expected, "{accept}");
        }
    }

    #[test]
    fn the_body_is_json_as_it_is() {
        let status = |fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            refused_content(&headers).map(|refusal| refusal.status().as_u16())
        };
        assert_eq!(status(&[]), None);
        assert_eq!(status(&[(CONTENT_ENCODING, "Identity")]), None);
        for coding in ["gzip", "identity, br", ""] {
            assert_eq!(status(&[(CONTENT_ENCODING, coding)]), Some(415), "{coding}");
        }
        let json = (CONTENT_TYPE, "application/json");
        assert_eq!(status(&[json.clone(), (CONTENT_ENCODING, "br")]), Some(415));
        assert_eq!(status(&[json.clone(), json]), Some(400));
    }
}
