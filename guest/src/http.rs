//! HTTP in builds that answer it themselves: `POST /mcp`, `GET /health` and `/verify`,
//! with the same responses as the bundled host.

mod cors;
mod origin;

use serde_json::json;

pub use cors::{Allowed, InvalidOrigin};

use crate::forward_auth;
use crate::json::JsonText;
use crate::mcp::{self, Response};
use crate::ports::Ports;
use crate::settings::Settings;

/// Maximum size of a message in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Headers of every response: browsers must not treat it as a page, must not cache it (it
/// may hold tokens: RFC 6749 section 5.1), and must not send its URL as a referrer.
const SECURITY: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
];

/// A request.
pub struct Request {
    /// Its method, such as `POST`.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query, without the question mark.
    pub query: Option<String>,
    /// Its header fields, their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The IP address that it came from.
    pub peer: Option<String>,
    /// The origins whose web pages may call.
    pub allowed: Allowed,
}

/// Answers a request. `body` is called only if the body is needed, and returns `None` if
/// that exceeds [`MAX_BODY_BYTES`].
pub fn answer(
    request: Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let mut response = match route(request, body, settings, ports) {
        Ok(response) | Err(response) => response,
    };
    if response.body.is_some() {
        let field = ("content-type".to_owned(), "application/json".to_owned());
        response.headers.push(field);
    }
    for (name, value) in SECURITY {
        response.headers.push((name.to_owned(), value.to_owned()));
    }
    response
}

/// Routes a request by its path. `Err` is the response to a rejected request.
fn route(
    request: Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Response> {
    match request.path.as_str() {
        "/mcp" | "/mcp/" => guarded(request, body, settings, ports),
        "/health" => health(&request, ports),
        "/verify" => {
            let permission = permission(request.query.as_deref().unwrap_or_default())
                .map_err(|message| refuse(400, &message))?;
            let headers = fields(&request.headers)?;
            let peer = request.peer;
            Ok(forward_auth::verify(
                headers, peer, permission, settings, ports,
            ))
        }
        path => Err(not_found(path)),
    }
}

/// Rejects requests from web pages whose origin is not allowed (MCP, Streamable HTTP,
/// security).
fn guarded(
    request: Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Response> {
    let origin = only(&request.headers, "origin").map_err(|message| refuse(403, &message))?;
    let origin = origin.map(|value| String::from_utf8_lossy(value).into_owned());
    if let Some(origin) = origin.as_deref().filter(|it| !request.allowed.admits(it)) {
        let message = format!(
            "the Origin '{origin}' may not use this server; add it to USER_AUTH_ALLOWED_ORIGINS \
             if it should"
        );
        return Err(refuse(403, &message));
    }
    let mut response = match request.allowed.preflight(&request.method) {
        Some(response) => response,
        None => match mcp(&request, body, settings, ports) {
            Ok(response) | Err(response) => response,
        },
    };
    request.allowed.tell(origin.as_deref(), &mut response);
    Ok(response)
}

fn mcp(
    request: &Request,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Result<Response, Response> {
    if request.method != "POST" {
        return Err(method_not_allowed("POST"));
    }
    check_content(&request.headers)?;
    let headers = fields(&request.headers)?;
    let Some(body) = body() else {
        let message = format!("a message may have at most {MAX_BODY_BYTES} bytes");
        return Err(refuse(413, &message));
    };
    let message = mcp::Request {
        transport: mcp::Transport::Http,
        headers,
        peer: request.peer.clone(),
        body,
    };
    Ok(mcp::handle(&message, settings, ports))
}

fn health(request: &Request, ports: Ports) -> Result<Response, Response> {
    if request.method != "GET" && request.method != "HEAD" {
        return Err(method_not_allowed("GET, HEAD"));
    }
    let body = json!({
        "status": "ok",
        "name": "user-auth",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": ports.clock.monotonic_us() / 1_000_000,
    });
    Ok(mcp::json_response(200, Vec::new(), JsonText::of(&body)))
}

/// Parses the permission of `?permission=`, encoded as in HTML forms. A query with
/// anything else in it is rejected: the caller may have meant to ask for more than was
/// read.
fn permission(query: &str) -> Result<Option<String>, String> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_encoding::percent_decode_str(&text).decode_utf8_lossy();
        text.into_owned()
    };
    let problem = |name: &str, problem: &str| {
        format!(
            "the parameter '{name}' {problem}; write /verify?permission=billing:read, or /verify"
        )
    };
    let mut permission = None;
    for field in query.split('&').filter(|_| !query.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let (name, value) = (decode(name), decode(value));
        if name != "permission" {
            return Err(problem(&name, "is unknown"));
        }
        if value.is_empty() {
            return Err(problem(&name, "is empty"));
        }
        if permission.replace(value).is_some() {
            return Err(problem(&name, "occurs more than once"));
        }
    }
    Ok(permission)
}

/// Returns the header fields with credentials and those of MCP, each of which may occur
/// only once.
fn fields(headers: &[(String, Vec<u8>)]) -> Result<Vec<(String, String)>, Response> {
    let is_wanted =
        |name: &str| name == "authorization" || name == "x-api-key" || name.starts_with("mcp-");
    headers
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, value)| {
            only(headers, name).map_err(|message| refuse(400, &message))?;
            match String::from_utf8(value.clone()) {
                Ok(value) => Ok((name.clone(), value)),
                Err(_) => Err(refuse(400, &format!("the header {name} is not UTF-8"))),
            }
        })
        .collect()
}

/// Returns the only value of a header. Two values are rejected: an intermediary could
/// have read the other one.
fn only<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Result<Option<&'a [u8]>, String> {
    let mut fields = headers.iter().filter(|(field, _)| field == name);
    let value = fields.next().map(|(_, value)| value.as_slice());
    match fields.next() {
        None => Ok(value),
        Some(_) => Err(format!("there is more than one {name} header")),
    }
}

/// Requires a body that is declared as JSON, without a content coding. `Err` is the
/// response to any other.
fn check_content(headers: &[(String, Vec<u8>)]) -> Result<(), Response> {
    let content_type = only(headers, "content-type").map_err(|message| refuse(400, &message))?;
    if let Some(other) = content_type.and_then(other_content_type) {
        let message = format!("the Content-Type is '{other}' and must be application/json");
        return Err(refuse(415, &message));
    }
    let mut codings = headers
        .iter()
        .filter(|(name, _)| name == "content-encoding");
    if let Some((_, coding)) = codings.find(|(_, coding)| !coding.eq_ignore_ascii_case(b"identity"))
    {
        let coding = String::from_utf8_lossy(coding);
        let message =
            format!("the Content-Encoding is '{coding}'; send the body as it is, without any");
        let mut refusal = refuse(415, &message);
        // RFC 9110 section 15.5.16: the codings that are accepted.
        let identity = ("accept-encoding".to_owned(), "identity".to_owned());
        refusal.headers.push(identity);
        return Err(refusal);
    }
    Ok(())
}

/// Returns the media type if it is not JSON.
fn other_content_type(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let essence = text.split_once(';').map_or(&*text, |(essence, _)| essence);
    let essence = essence.trim();
    (!essence.eq_ignore_ascii_case("application/json")).then(|| essence.to_owned())
}

fn not_found(path: &str) -> Response {
    let message = format!(
        "nothing found at {path}; MCP is at POST /mcp, and the state of the server at GET \
         /health"
    );
    refuse(404, &message)
}

fn method_not_allowed(allow: &str) -> Response {
    let mut response = refuse(405, &format!("method not allowed; use {allow}"));
    response
        .headers
        .push(("allow".to_owned(), allow.to_owned()));
    response
}

/// The response to a request that is not a valid message.
fn refuse(status: u16, message: &str) -> Response {
    // Not `mcp::response`: the bundled host writes the same bytes.
    let error = json!({"code": -32600, "message": message});
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
    mcp::json_response(status, Vec::new(), JsonText::of(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_with_unknown_repeated_or_malformed_parameters_are_rejected() {
        let asked = |query: &str| permission(query).ok();
        assert_eq!(asked(""), Some(None));
        for query in ["permission=a:b", "permission=a%3ab", "%70ermission=a:b"] {
            assert_eq!(asked(query), Some(Some("a:b".to_owned())), "{query}");
        }
        for query in [
            "&",
            "=a",
            "permission",
            "permission=",
            "permision=a",
            "Permission=a",
            "%2570ermission=a",
            "audience=a",
            "permission=a&audience=b",
            "permission=a&permission=a",
            "permission=a&%70ermission=b",
            "permission=a&",
            "&permission=a",
            "%ff=a",
        ] {
            assert_eq!(asked(query), None, "{query}");
        }
        // None of these can be granted to an account.
        for (query, expected) in [
            ("permission=a+b", "a b"),
            ("permission=a;permission=b", "a;permission=b"),
            ("permission=a#b", "a#b"),
            ("permission=%ff", "\u{fffd}"),
        ] {
            assert_eq!(asked(query), Some(Some(expected.to_owned())), "{query}");
        }
    }

    #[test]
    fn repeated_credential_and_routing_headers_are_rejected() {
        for name in ["authorization", "x-api-key", "mcp-method"] {
            let field = (name.to_owned(), b"x".to_vec());
            assert!(fields(std::slice::from_ref(&field)).is_ok());
            let refused = fields(&[field.clone(), field]).unwrap_err();
            assert_eq!(refused.status, 400, "{name}");
        }
    }
}
