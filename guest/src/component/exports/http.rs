//! The `http` interface: one request.

use super::mcp::response;
use crate::component::contract::{Component, exports};
use crate::component::select::{ports, settings};
use crate::domain::caller::Principal;
use crate::http::{self, Body, Members, Pages, Rate, Request};
use crate::settings::Settings;

impl exports::http::Guest for Component {
    fn routes() -> Vec<exports::http::Route> {
        // With settings that are invalid, every request is refused by `handle`.
        let settings = settings(&Principal::Anonymous).unwrap_or_default();
        let paths = http::paths(&settings).into_iter();
        paths.map(|path| route(path, &settings)).collect()
    }

    fn handle(request: exports::http::Request) -> exports::mcp::Response {
        let (request, body) = parts(request);
        response(match settings(&Principal::Anonymous) {
            Ok(settings) => http::answer(&request, || Some(body), &settings, ports::all()),
            Err(error) => http::misconfigured(&request, &body, &error, ports::all()),
        })
    }

    fn admit(request: exports::http::Request) -> Option<exports::mcp::Response> {
        let (request, _) = parts(request);
        let refusal = match settings(&Principal::Anonymous) {
            Ok(settings) => http::admit(&request, &settings, ports::all()).err(),
            Err(error) => Some(http::misconfigured(&request, b"", &error, ports::all())),
        };
        refusal.map(response)
    }
}

fn parts(request: exports::http::Request) -> (Request, Vec<u8>) {
    let headers = request.headers.into_iter();
    let parts = Request {
        method: request.method,
        target: request.target,
        authority: request.authority,
        tls: request.tls,
        // Hosts need not agree on the case of names, which means nothing (RFC 9110 section 5.1).
        headers: headers
            .map(|field| (field.name.to_ascii_lowercase(), field.value))
            .collect(),
        api_key_header: request.api_key_header,
        peer: request.peer,
    };
    (parts, request.body)
}

#[expect(
    clippy::expect_used,
    reason = "a test checks that each path has a route"
)]
fn route(path: String, settings: &Settings) -> exports::http::Route {
    use exports::http::{BodyClass, ErrorForm, JsonBody, PageClass, RateClass, Route};
    let route = http::route(&path, settings).expect("each path has a route");
    Route {
        path,
        pages: match route.pages {
            Pages::Public => PageClass::Public,
            Pages::Listed => PageClass::Listed,
            Pages::None => PageClass::None,
        },
        rate: match route.rate {
            Rate::Caller => RateClass::Caller,
            Rate::Verifier => RateClass::Verifier,
        },
        body: match route.body {
            Body::Ignored => BodyClass::Ignored,
            Body::Content => BodyClass::Content,
            Body::JsonRpc => BodyClass::Json(JsonBody {
                id: "/id".to_owned(),
                verifications: http::verifications().into_iter().map(members).collect(),
            }),
        },
        errors: ErrorForm {
            operation: route.operation().to_owned(),
            refused: route.errors.refused().to_owned(),
            unavailable: route.errors.unavailable().to_owned(),
        },
        requires_api_key: route.requires_api_key,
    }
}

fn members(members: Members) -> Vec<exports::http::Member> {
    let members = members.into_iter();
    members
        .map(|(pointer, text)| exports::http::Member {
            pointer: pointer.to_owned(),
            text,
        })
        .collect()
}
