//! What a host does beyond routing, for builds without a host of their own: the security
//! headers, the origins of web pages, and `GET /health`, as the bundled host has them.

use serde_json::json;
use user_auth_origins::fields::{Readers, SECURITY};
use user_auth_origins::{Allowed, Origin};

use super::request::only;
use super::{Form, Pages, Request, route};
use crate::json::JsonText;
use crate::mcp::{self, Refusal, Response};
use crate::ports::Ports;
use crate::settings::Settings;

/// Answers a request if the page that sent it, if any, is of an `allowed` origin. `body` is
/// that of [`answer`](super::answer).
pub fn answer(
    request: &Request,
    allowed: &Allowed,
    body: impl FnOnce() -> Option<Vec<u8>>,
    settings: &Settings,
    ports: Ports,
) -> Response {
    let route = route(request.path(), settings);
    let mut response = if request.path() == "/health" {
        health(request, ports)
    } else {
        match readers(request, route.map(|route| route.pages), allowed) {
            Ok(readers) => for_pages(readers, request, || {
                super::answer(request, body, settings, ports)
            }),
            Err(message) => {
                let form = route.map_or(Form::Plain, |route| route.errors);
                super::finish(form.respond(Refusal::new(403, &message)), request)
            }
        }
    };
    for (name, value) in SECURITY {
        // The keys at `/jwks` may be kept.
        if response.headers.iter().all(|(field, _)| field != name) {
            response.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    response
}

/// Returns the pages that may read the response, or `None` if none may. Rejects requests
/// from web pages whose origin is not allowed (MCP, Streamable HTTP, security).
fn readers<'a>(
    request: &'a Request,
    pages: Option<Pages>,
    allowed: &Allowed,
) -> Result<Option<Readers<'a>>, String> {
    match pages {
        None | Some(Pages::None) => return Ok(None),
        Some(Pages::Public) => return Ok(Some(Readers::All)),
        Some(Pages::Listed) => {}
    }
    let origin = only(&request.headers, "origin")
        .map_err(|_| "there is more than one origin header".to_owned())?;
    let text = origin.map(String::from_utf8_lossy);
    let is_admitted =
        |text: &str| Origin::parse(text).is_some_and(|origin| allowed.admits(&origin));
    if let Some(refused) = text.filter(|text| !is_admitted(text)) {
        return Err(format!(
            "the Origin '{refused}' may not use this server; add it to USER_AUTH_ALLOWED_ORIGINS \
             if it should"
        ));
    }
    // An origin that is admitted is ASCII.
    let origin = origin.and_then(|origin| str::from_utf8(origin).ok());
    Ok((!allowed.is_empty()).then_some(Readers::Origin(origin)))
}

/// Answers a preflight request, or completes the response to another one.
fn for_pages(
    readers: Option<Readers>,
    request: &Request,
    answer: impl FnOnce() -> Response,
) -> Response {
    let Some(readers) = readers else {
        return answer();
    };
    let (mut response, fields) = if request.method == "OPTIONS" {
        let response = Response {
            status: 200,
            headers: Vec::new(),
            body: None,
        };
        (response, readers.preflight(&request.api_key_header))
    } else {
        (answer(), readers.response())
    };
    let fields = fields.into_iter();
    let fields = fields.map(|(name, value)| (name.to_owned(), value.into_owned()));
    response.headers.extend(fields);
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
