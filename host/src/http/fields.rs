//! The header fields of a request that the host passes to the component.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::policy::KeyHeader;
use crate::api::Field;

/// Returns the headers for the component: those with credentials and those of MCP, each of
/// which may occur only once. The header of API keys has the same name for the component,
/// whatever it is configured to be.
pub(super) fn fields(headers: &HeaderMap, key_header: &KeyHeader) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for name in headers.keys() {
        let known = match name.as_str() {
            _ if name == key_header.name() => "x-api-key",
            name if name == AUTHORIZATION || name.starts_with("mcp-") => name,
            _ => continue,
        };
        let value = only_one(headers, name)?.unwrap_or_default();
        let value = str::from_utf8(value).map_err(|_| format!("the header {name} is not UTF-8"))?;
        fields.push(Field {
            name: known.to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(fields)
}

/// Returns the only value of a header. Two values are rejected: an intermediary could
/// have read the other one.
pub(super) fn only_one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a [u8]>, String> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(format!("there is more than one {name} header")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
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
    fn there_is_one_of_each() {
        for name in ["authorization", "x-api-key", "mcp-method", "mcp-param-x"] {
            let mut two = headers(HeaderName::from_static(name), "x");
            two.append(name, HeaderValue::from_static("x"));
            let error = fields(&two, &KeyHeader::default()).unwrap_err();
            assert_eq!(error, format!("there is more than one {name} header"));
        }
    }
}
