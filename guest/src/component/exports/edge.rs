//! The export of `wasi:http`: a complete server, for runtimes that know nothing about
//! UserAuth.

use std::env;

use user_auth_origins::Allowed;
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam, Scheme,
};
use wasip2::io::streams::StreamError;

use super::super::select::{misconfigured, ports, settings};
use crate::domain::caller::Principal;
use crate::error::AuthError;
use crate::http::edge;
use crate::http::{self, MAX_BODY_BYTES, Request};
use crate::mcp::Response;
use crate::settings::Settings;

/// The setting that names the header in which the runtime passes the client's address.
/// Without it, all requests count as coming from one source.
const PEER_HEADER: &str = "USER_AUTH_PEER_HEADER";

/// The header for API keys.
const API_KEY_HEADER: &str = "X-API-Key";

/// The setting that lists the origins of the web pages that may call.
const ALLOWED_ORIGINS: &str = "USER_AUTH_ALLOWED_ORIGINS";

/// The number of bytes that one read of the body requests.
const CHUNK_BYTES: u64 = 64 << 10;
/// The most bytes that `wasi:io` accepts in one blocking write.
const WRITE_BYTES: usize = 4096;

struct Edge;

wasip2::http::proxy::export!(Edge);

impl Guest for Edge {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let is_head = matches!(request.method(), Method::Head);
        let response = match all_settings() {
            Ok((settings, allowed)) => {
                let body = || read(&request);
                edge::answer(&parts(&request), &allowed, body, &settings, ports::all())
            }
            Err(error) => http::misconfigured(&parts(&request), b"", &error, ports::all()),
        };
        send(response, is_head, out);
    }
}

/// Returns the settings in force, and the origins that may call.
fn all_settings() -> Result<(Settings, Allowed), AuthError> {
    let principal = Principal::Anonymous;
    let allowed = Allowed::parse(&env::var(ALLOWED_ORIGINS).unwrap_or_default())
        .map_err(|invalid| misconfigured(&[format!("{ALLOWED_ORIGINS}: {invalid}")], &principal))?;
    let settings = settings(&principal)?;
    // Without a store there is nothing to change, and all pages may have tokens verified.
    let has_store = ports::all().store.is_there();
    if allowed.has_all_pages() && settings.is_open() && has_store {
        let problem = format!(
            "{ALLOWED_ORIGINS}: * lets all web pages call, which is allowed only if API keys are \
             required: name the origins, or set USER_AUTH_REQUIRE_API_KEY"
        );
        return Err(misconfigured(&[problem], &principal));
    }
    Ok((settings, allowed))
}

fn parts(request: &IncomingRequest) -> Request {
    let headers: Vec<(String, Vec<u8>)> = request
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    Request {
        method: method(&request.method()),
        target: request.path_with_query().unwrap_or_default(),
        authority: request.authority(),
        tls: matches!(request.scheme(), Some(Scheme::Https)),
        peer: peer(&headers),
        headers,
        api_key_header: API_KEY_HEADER.to_owned(),
    }
}

fn peer(headers: &[(String, Vec<u8>)]) -> Option<String> {
    let wanted = env::var(PEER_HEADER).ok()?.to_ascii_lowercase();
    let mut fields = headers.iter().filter(|(name, _)| *name == wanted);
    // If there are two, the client may have sent one of them.
    let (Some((_, value)), None) = (fields.next(), fields.next()) else {
        return None;
    };
    Some(String::from_utf8_lossy(value).trim().to_owned())
}

fn method(method: &Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    };
    name.to_owned()
}

/// Reads the whole body, or returns `None` if it is too large. A body that breaks off
/// is judged as far as it arrived.
fn read(request: &IncomingRequest) -> Option<Vec<u8>> {
    let Ok(incoming) = request.consume() else {
        return Some(Vec::new());
    };
    let mut body = Vec::new();
    {
        let Ok(stream) = incoming.stream() else {
            return Some(Vec::new());
        };
        loop {
            match stream.blocking_read(CHUNK_BYTES) {
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => break,
            }
            if body.len() > MAX_BODY_BYTES {
                return None;
            }
        }
    }
    drop(IncomingBody::finish(incoming));
    Some(body)
}

/// Sends the response. Errors are ignored: they mean that the client has gone.
fn send(answer: Response, is_head: bool, out: ResponseOutparam) {
    let fields = Fields::new();
    for (name, value) in &answer.headers {
        let _ = fields.append(name, value.as_bytes());
    }
    let bytes = answer.body.unwrap_or_default();
    let length = bytes.len().to_string();
    let _ = fields.append("content-length", length.as_bytes());
    let response = OutgoingResponse::new(fields);
    let _ = response.set_status_code(answer.status);
    let Ok(body) = response.body() else {
        return;
    };
    ResponseOutparam::set(out, Ok(response));
    if !is_head && let Ok(stream) = body.write() {
        for chunk in bytes.chunks(WRITE_BYTES) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                return;
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}
