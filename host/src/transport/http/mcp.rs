//! `POST /mcp`: one message in, its answer out.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Extension, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use super::patience::Owed;
use super::policy::KeyHeader;
use super::{App, Caller, limited, method_not_allowed, refuse, sse, unavailable};
use crate::api::{Field, McpRequest, McpResponse, Transport};
use crate::call::CallError;
use crate::client::NoClient;
use crate::limits::Limits;
use crate::transport::id_of;

/// What is kept of the message of somebody who is refused whatever it says: enough
/// for its id where that can be found. The memory for bodies is for the others.
const REFUSED_BYTES: usize = 4 << 10;

pub(super) async fn handle(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return method_not_allowed("POST");
    }
    if let Some(other) = other_content_type(&parts.headers) {
        let message = format!("the Content-Type is '{other}' and must be application/json");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
    }
    let headers = match fields(&parts.headers, &app.policy.key_header) {
        Ok(headers) => headers,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let from = app.policy.proxies.client(caller.peer.ip(), &parts.headers);
    let charged = app.charge(&parts.headers, from);
    let is_refused = charged.is_err() || app.lacks_key(&parts.headers);
    let keep = match is_refused {
        true => REFUSED_BYTES,
        false => app.plugin.limits().body_bytes,
    };
    // Read in any case: most clients listen for an answer only once they have sent
    // everything, and its id is in it.
    let Kept { body, memory } = match read(body, keep, &app.bodies, app.plugin.limits()).await {
        Ok(kept) => kept,
        Err(refusal) => return refusal,
    };
    let id = id_of(&body).unwrap_or(Value::Null);
    let key = match charged {
        Ok(key) => key,
        Err(seconds) => return limited(seconds, id),
    };
    let message = McpRequest {
        transport: Transport::Http,
        headers,
        peer: Some(from.to_string()),
        body,
    };
    let debt = caller.debts.owe();
    let plugin = app.plugin.clone();
    let call = async move |client| {
        let answered = plugin.handle(message, client).await;
        drop(memory);
        answered
    };
    let response = match takes_events(&parts.headers) {
        true => sse::answer(call, id).await,
        false => plain(call(Arc::new(NoClient)).await, id),
    };
    let response = app.judge(response, key);
    response.map(|body| Body::new(Owed { body, _debt: debt }))
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
        warn!("the component sent a header that is none; it is left out");
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

/// What the `Content-Type` is, if there is one and it is not JSON.
fn other_content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim();
    (!essence.eq_ignore_ascii_case("application/json")).then(|| essence.to_owned())
}

/// Whether the client says that it takes a stream. A wildcard does not: whoever
/// sends `*/*`, such as curl, can as well do with JSON.
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

/// The headers that the component gets: those that say who calls, and MCP's own.
/// It knows one name for that of API keys, whatever callers send it as.
pub(super) fn fields(headers: &HeaderMap, key_header: &KeyHeader) -> Result<Vec<Field>, String> {
    // RFC 9110 §11.6.2: there is one. Of two, another could be looked at on the way.
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err("there is more than one authorization header".into());
    }
    headers
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            _ if name == key_header.name() => Some(("x-api-key", value)),
            name if name == "authorization" || name.starts_with("mcp-") => Some((name, value)),
            _ => None,
        })
        .map(|(name, value)| match str::from_utf8(value.as_bytes()) {
            Ok(value) => Ok(Field {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            Err(_) => Err(format!("the header {name} is not UTF-8")),
        })
        .collect()
}

/// A body, and its share of the memory for bodies.
#[derive(Default)]
struct Kept {
    body: Vec<u8>,
    memory: Option<OwnedSemaphorePermit>,
}

/// Why a body was not kept.
enum NotKept {
    TooLarge,
    NoMemory,
    Broken,
}

async fn read(
    body: Body,
    keep: usize,
    memory: &Arc<Semaphore>,
    limits: &Limits,
) -> Result<Kept, Response> {
    let too_large = || {
        let message = format!("a message may have at most {} bytes", limits.body_bytes);
        refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    // What says beforehand that it is far too large is not waited for.
    if body.size_hint().lower() > limits.discarded_body_bytes as u64 {
        return Err(too_large());
    }
    match timeout(limits.body_read, collect(body, keep, memory, limits)).await {
        Ok(Ok(kept)) => Ok(kept),
        Ok(Err(NotKept::TooLarge)) => Err(too_large()),
        Ok(Err(NotKept::NoMemory)) => Err(unavailable(&CallError::Busy, Value::Null)),
        Ok(Err(NotKept::Broken)) => Err(refuse(
            StatusCode::BAD_REQUEST,
            "the body could not be read to its end",
        )),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

/// Keeps the body, if it has no more bytes than `keep`. One that is too large is
/// still read, for a while: most clients listen for an answer only once they have
/// sent everything.
async fn collect(
    mut body: Body,
    keep: usize,
    memory: &Arc<Semaphore>,
    limits: &Limits,
) -> Result<Kept, NotKept> {
    let mut kept = Kept::default();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NotKept::Broken)?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > limits.discarded_body_bytes {
            return Err(NotKept::TooLarge);
        }
        if seen > keep {
            kept = Kept::default();
            continue;
        }
        let share = acquire(memory, data.len(), limits).await?;
        match &mut kept.memory {
            Some(memory) => memory.merge(share),
            none => *none = Some(share),
        }
        kept.body.extend_from_slice(&data);
    }
    match seen > limits.body_bytes {
        true => Err(NotKept::TooLarge),
        false => Ok(kept),
    }
}

async fn acquire(
    memory: &Arc<Semaphore>,
    bytes: usize,
    limits: &Limits,
) -> Result<OwnedSemaphorePermit, NotKept> {
    let bytes = u32::try_from(bytes).map_err(|_| NotKept::TooLarge)?;
    let share = Arc::clone(memory).acquire_many_owned(bytes);
    match timeout(limits.call_queue_wait, share).await {
        Ok(Ok(share)) => Ok(share),
        _ => Err(NotKept::NoMemory),
    }
}

#[cfg(test)]
mod tests {
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
    fn the_component_sees_no_other_headers() {
        let mut all = headers(HeaderName::from_static("mcp-method"), "tools/list");
        all.insert("authorization", HeaderValue::from_static("Bearer x"));
        all.insert("cookie", HeaderValue::from_static("secret"));
        all.insert("x-api-key", HeaderValue::from_static("not this one"));
        all.insert("x-team-key", HeaderValue::from_static("uak_x"));
        let seen = |key_header: &KeyHeader| {
            let fields = fields(&all, key_header).unwrap();
            let mut fields: Vec<_> = fields.into_iter().map(|f| (f.name, f.value)).collect();
            fields.sort();
            fields
        };
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut expected = [
            field("authorization", "Bearer x"),
            field("mcp-method", "tools/list"),
            field("x-api-key", "not this one"),
        ];
        assert_eq!(seen(&KeyHeader::default()), expected);
        expected[2].1 = "uak_x".into();
        assert_eq!(seen(&"X-Team-Key".parse().unwrap()), expected);
    }

    #[test]
    fn there_is_one_authorization() {
        let mut two = headers(AUTHORIZATION, "Bearer x");
        two.append(AUTHORIZATION, HeaderValue::from_static("Bearer y"));
        assert!(fields(&two, &KeyHeader::default()).is_err());
    }

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
