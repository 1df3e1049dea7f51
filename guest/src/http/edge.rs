//! What a host does beyond routing, for builds without a host of their own: the security
//! headers, the origins of web pages, and `GET /health`, as the bundled host has them.

use serde_json::json;

use super::cors;
pub use super::cors::{Allowed, InvalidOrigin};
use super::request::only;
use super::{Form, Pages, Request, route};
use crate::json::JsonText;
use crate::mcp::{self, Refusal, Response};
use crate::ports::Ports;
use crate::settings::Settings;

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

/// Answers a request if the page that sent it, if any, is of an `allowed` origin. `body` is
/// that of [`answer`](super::answer).
pub fn answer(
    request: &Request,
    allowed: &Allowed,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let mut response = match (request.path(), route(request.path(), settings)) {
        ("/health", _) => health(request, ports),
        (_, Some(route)) if route.pages == Pages::Listed => {
            guarded(request, route.errors, allowed, body, settings, ports)
        }
        (_, Some(route)) if route.pages == Pages::Public => {
            let mut response = cors::public_preflight(&request.method)
                .unwrap_or_else(|| super::answer(request, body, settings, ports));
            cors::tell_all(&mut response);
            response
        }
        _ => super::answer(request, body, settings, ports),
    };
    for (name, value) in SECURITY {
        // The keys at `/jwks` may be kept.
        if response.headers.iter().all(|(field, _)| field != name) {
            response.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    response
}

/// Rejects requests from web pages whose origin is not allowed (MCP, Streamable HTTP,
/// security).
fn guarded(
    request: &Request,
    errors: Form,
    allowed: &Allowed,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let refuse = |message: &str| super::finish(errors.respond(Refusal::new(403, message)), request);
    let Ok(origin) = only(&request.headers, "origin") else {
        return refuse("there is more than one origin header");
    };
    let origin = origin.map(|value| String::from_utf8_lossy(value).into_owned());
    if let Some(origin) = origin.as_deref().filter(|it| !allowed.admits(it)) {
        let message = format!(
            "the Origin '{origin}' may not use this server; add it to USER_AUTH_ALLOWED_ORIGINS \
             if it should"
        );
        return refuse(&message);
    }
    let mut response = allowed
        .preflight(&request.method)
        .unwrap_or_else(|| super::answer(request, body, settings, ports));
    allowed.tell(origin.as_deref(), &mut response);
    response
}

fn health(request: &Request, ports: Ports) -> Response {
    let answered = request.require_method(&["GET", "HEAD"]).map(|()| {
        let body = json!({
            "status": "ok",
            "name": "user-auth",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": ports.clock.monotonic_us() / 1_000_000,
        });
        mcp::json_response(200, Vec::new(), JsonText::of(&body))
    });
    let response = answered.unwrap_or_else(|refusal| Form::Plain.respond(refusal));
    super::finish(response, request)
}
