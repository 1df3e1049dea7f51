//! The header fields of a request that the host passes to the component.

use http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, ORIGIN,
};
use http::{HeaderMap, HeaderName};

use super::policy::KeyHeader;
use crate::api::HttpHeader;

/// What browsers say about who has sent a request (W3C Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns the headers for the component: those with credentials, those of MCP, those that
/// describe the body, and those that its pages need. The header of API keys has the same
/// name for the component, whatever it is configured to be.
pub(super) fn fields(headers: &HeaderMap, key_header: &KeyHeader) -> Vec<HttpHeader> {
    let is_passed_on = |name: &HeaderName| {
        [
            ACCEPT_LANGUAGE,
            AUTHORIZATION,
            CONTENT_ENCODING,
            CONTENT_TYPE,
            COOKIE,
            FETCH_SITE,
            ORIGIN,
        ]
        .contains(name)
            || ["mcp-", "x-mcp-"]
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix))
    };
    let fields = headers.iter().filter_map(|(name, value)| {
        let name = match name {
            _ if name == key_header.name() => "x-api-key",
            _ if is_passed_on(name) => name.as_str(),
            _ => return None,
        };
        Some(HttpHeader {
            name: name.to_owned(),
            value: value.as_bytes().to_vec(),
        })
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_component_sees_no_other_headers() {
        let mut all = headers(HeaderName::from_static("mcp-method"), "tools/list");
        all.insert("authorization", HeaderValue::from_static("Bearer x"));
        all.insert("x-mcp-toolsets", HeaderValue::from_static("auth"));
        all.insert("x-secret", HeaderValue::from_static("secret"));
        all.insert("x-api-key", HeaderValue::from_static("not this one"));
        all.insert("x-team-key", HeaderValue::from_static("uak_x"));
        let seen = |key_header: &KeyHeader| {
            let fields = fields(&all, key_header);
            let mut fields: Vec<_> = fields.into_iter().map(|f| (f.name, f.value)).collect();
            fields.sort();
            fields
        };
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let mut expected = [
            field("authorization", "Bearer x"),
            field("mcp-method", "tools/list"),
            field("x-api-key", "not this one"),
            field("x-mcp-toolsets", "auth"),
        ];
        assert_eq!(seen(&KeyHeader::default()), expected);
        expected[2].1 = b"uak_x".to_vec();
        assert_eq!(seen(&"X-Team-Key".parse().unwrap()), expected);
    }

    #[test]
    fn the_component_sees_each_field_that_was_sent_twice() {
        for name in ["authorization", "x-api-key", "mcp-method", "content-type"] {
            let mut two = headers(HeaderName::from_static(name), "x");
            two.append(name, HeaderValue::from_static("x"));
            assert_eq!(fields(&two, &KeyHeader::default()).len(), 2, "{name}");
        }
    }
}
