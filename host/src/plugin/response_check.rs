//! Checks the responses of a component, so that every transport (HTTP, a stream of
//! events, or lines) can pass them on unchanged. Pages and their style sheets, which only
//! HTTP passes on, are text; everything else is JSON.

use serde::de::IgnoredAny;

use crate::api::McpResponse;
use crate::limits::Limits;

/// Cost of one header field in addition to its name and its value, as in HTTP/2 (RFC
/// 9113 §6.5.2), so that many small fields are bounded too.
const FIELD_BYTES: usize = 32;

/// The types of bodies that are not JSON.
const PAGES: [&str; 2] = ["text/html; charset=utf-8", "text/css; charset=utf-8"];

/// Returns the reason why a response must not be forwarded, if any.
pub(crate) fn flaw(answer: &McpResponse, limits: &Limits) -> Option<&'static str> {
    if !(200..=599).contains(&answer.status) {
        return Some("its status does not end a request");
    }
    let fields = answer.headers.iter();
    let header: usize = fields
        .map(|field| field.name.len() + field.value.len() + FIELD_BYTES)
        .sum();
    if header > limits.answer_header_bytes {
        return Some("its header is too large");
    }
    let body = answer.body.as_deref().unwrap_or_default();
    if body.len() > limits.answer_bytes {
        return Some("its body is too large");
    }
    if is_page(answer) {
        let is_text = std::str::from_utf8(body).is_ok();
        return (!is_text).then_some("its body is not text");
    }
    if !body.is_empty() && !is_json(body) {
        return Some("its body is not JSON");
    }
    None
}

fn is_page(answer: &McpResponse) -> bool {
    let mut types = answer
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("content-type"));
    types.any(|field| PAGES.contains(&field.value.as_str()))
}

/// UTF-8 is checked first: the parser does not look into text that it skips.
fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Field;

    #[test]
    fn pages_are_text() {
        let page = |body: &[u8], media_type: &str| {
            let mut answer = answer(200, 0, body);
            answer.headers[0] = Field {
                name: "content-type".into(),
                value: media_type.into(),
            };
            flaw(&answer, &Limits::default())
        };
        for media_type in PAGES {
            assert_eq!(page(b"<p>", media_type), None);
            assert!(page(b"\xff", media_type).is_some());
        }
        assert!(page(b"<p>", "application/json").is_some());
    }

    fn answer(status: u16, header: usize, body: &[u8]) -> McpResponse {
        let field = Field {
            name: "x".into(),
            value: "1".repeat(header),
        };
        McpResponse {
            status,
            headers: vec![field],
            body: Some(body.to_vec()),
        }
    }

    #[test]
    fn a_response_must_end_its_request_and_be_bounded_json() {
        let limits = Limits {
            answer_header_bytes: 100,
            answer_bytes: 10,
            ..Limits::default()
        };
        let flaw = |status, header, body: &[u8]| flaw(&answer(status, header, body), &limits);
        for (status, header, body) in [
            (200, 0, &b"{}"[..]),
            (599, 67, b"\"12345678\""),
            (202, 0, b""),
        ] {
            assert_eq!(flaw(status, header, body), None, "{status}");
        }
        for (status, header, body) in [
            (0, 0, &b"{}"[..]),
            (199, 0, b"{}"),
            (600, 0, b"{}"),
            (200, 68, b"{}"),
            (200, 0, b"\"123456789\""),
            (200, 0, b"{"),
            (200, 0, b"{} {}"),
            (200, 0, b"\"\xff\""),
        ] {
            assert!(flaw(status, header, body).is_some(), "{status} {body:?}");
        }
    }
}
