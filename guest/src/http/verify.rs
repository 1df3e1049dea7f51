//! `/verify`: reverse proxies call it for each request that they guard.
//!
//! It accepts any method and ignores the body, since some proxies pass both on unchanged.
//! It ignores origins too: they belong to the pages that the proxy serves, and only the
//! proxy sees the response.

use super::Request;
use crate::forward_auth;
use crate::mcp::{Refusal, Response};
use crate::ports::Ports;
use crate::settings::Settings;

pub fn answer(request: &Request, settings: &Settings, ports: Ports) -> Result<Response, Refusal> {
    let permission = permission(request.query()).map_err(|message| Refusal::new(400, &message))?;
    forward_auth::verify(&request.message()?, permission, settings, ports)
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
}
