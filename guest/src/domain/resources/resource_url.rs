//! The URLs of resource servers, which tokens name as their audience (RFC 8707 section 2).

use std::net::Ipv6Addr;

use fluent_uri::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::http_uri::HttpUri;

const MAX_BYTES: usize = 256;
const TOO_LONG: &str = "expected at most 256 bytes";

/// The URL of a resource server: `https`, or `http` on this machine, without a user name,
/// a query and a fragment, with at most 256 bytes.
///
/// Clients write the same URL differently. It is kept in one form: scheme and host in lower
/// case, an IPv6 address as short as can be (RFC 5952), without the port that the scheme
/// implies, and without a slash at the end (RFC 3986 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri", "maxLength" = MAX_BYTES))]
pub struct ResourceUrl(String);

impl ResourceUrl {
    /// Returns the URL in its one form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ResourceUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<ResourceUrl, Self::Error> {
        const EXPECTED: &str = "expected an absolute URL such as https://mcp.example.com/mcp";
        if text.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        let uri = Uri::parse(text.as_str()).map_err(|_| EXPECTED)?;
        let parts = HttpUri::of(&uri).ok_or(EXPECTED)??;
        if !parts.is_secure && !parts.is_loopback {
            return Err("expected https, or http on localhost, 127.0.0.1 or [::1]");
        }
        if uri.has_query() || uri.has_fragment() {
            return Err("expected no query and no fragment");
        }
        let path = uri.path().as_str();
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').skip(1).any(is_ambiguous) {
            return Err("expected a path without empty segments, '.' and '..'");
        }
        let host = one_form(parts.host);
        let (scheme, implied) = match parts.is_secure {
            true => ("https", 443),
            false => ("http", 80),
        };
        let port = parts.port.filter(|port| *port != implied);
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let form = format!("{scheme}://{host}{port}{path}");
        // `::` in the place of a single zero is shorter than the one form.
        if form.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        Ok(ResourceUrl(form))
    }
}

/// Returns the one form of a host.
fn one_form(host: &str) -> String {
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = literal.and_then(|literal| literal.parse::<Ipv6Addr>().ok());
    match address {
        // The form with an IPv4 address in it can be longer than the text.
        Some(address) if address.to_ipv4_mapped().is_none() => format!("[{address}]"),
        _ => host.to_ascii_lowercase(),
    }
}

/// Reports whether programs leave out this segment of a path, or follow it, even if its
/// dots are escaped.
fn is_ambiguous(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(plain.as_str(), "" | "." | "..")
}

impl From<ResourceUrl> for String {
    fn from(url: ResourceUrl) -> String {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<String, &'static str> {
        ResourceUrl::try_from(text.to_owned()).map(String::from)
    }

    #[test]
    fn spellings_of_the_same_url_have_one_form() {
        for (form, spellings) in [
            (
                "https://mcp.example.com",
                &[
                    "https://mcp.example.com",
                    "https://mcp.example.com/",
                    "HTTPS://MCP.Example.com:443/",
                    "https://mcp.example.com:0443",
                ][..],
            ),
            (
                "https://mcp.example.com/Mcp",
                &[
                    "https://mcp.example.com/Mcp",
                    "https://mcp.example.com/Mcp/",
                    "https://MCP.EXAMPLE.COM:443/Mcp",
                ],
            ),
            (
                "http://localhost:8000/mcp",
                &["http://localhost:8000/mcp", "http://LOCALHOST:8000/mcp/"],
            ),
            (
                "http://[::1]",
                &["http://[::1]:80/", "HTTP://[::1]", "http://[0:0::0:1]"],
            ),
            ("https://[2001:db8::a]", &["https://[2001:DB8:0::000A]"]),
            ("https://[1:0:2:3:4:5:6:7]", &["https://[1::2:3:4:5:6:7]"]),
            ("https://x.example:80", &["https://x.example:80/"]),
            ("https://x.example/a%2Fb", &["https://x.example/a%2Fb"]),
        ] {
            for spelling in spellings {
                assert_eq!(parse(spelling).as_deref(), Ok(form), "{spelling}");
            }
        }
    }

    #[test]
    fn all_other_urls_are_rejected() {
        for text in [
            "",
            "mcp.example.com",
            "/mcp",
            "https://",
            "https:///mcp",
            "http://mcp.example.com",
            "http://0.0.0.0/mcp",
            "ftp://localhost/mcp",
            "com.example.app:/mcp",
            "urn:example:mcp",
            "https://me@mcp.example.com",
            "https://mcp.example.com?x",
            "https://mcp.example.com/?",
            "https://mcp.example.com/mcp#x",
            "https://mcp.example.com/mcp#",
            "https://mcp.example.com//",
            "https://mcp.example.com//mcp",
            "https://mcp.example.com/mcp//",
            "https://mcp.example.com/a/../mcp",
            "https://mcp.example.com/a/%2E%2e/mcp",
            "https://mcp.example.com/./mcp",
            "https://mcp.example.com/..",
            "https://mcp.example.com/a b",
            "https://m\u{fc}ller.example/mcp",
            " https://mcp.example.com",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let longest = format!("https://mcp.example.com/{}", "a".repeat(MAX_BYTES - 24));
        assert!(parse(&longest).is_ok());
        assert!(parse(&(longest + "a")).is_err());
        let longer_in_its_form = format!("{:a<256}", "https://[1::2:3:4:5:6:7]/");
        assert!(parse(&longer_in_its_form).is_err());
    }

    proptest! {
        #[test]
        fn the_one_form_is_its_own_form_and_hardly_longer_than_the_text(
            text in "(https|http|HTTPS)://(localhost|\\[[0-9a-f:]{2,16}\\]|[a-zA-Z.]{1,9})(:[0-9]{1,5})?[/.%2eEa?#]{0,8}"
        ) {
            if let Ok(form) = parse(&text) {
                prop_assert!(form.len() <= text.len() + 1);
                prop_assert!(!form.ends_with('/'));
                prop_assert_eq!(parse(&form), Ok(form.clone()));
            }
        }
    }
}
