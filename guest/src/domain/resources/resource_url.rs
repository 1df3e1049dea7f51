//! The URLs of resource servers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const EXPECTED: &str = "expected the URL of a service as its clients write it, such as \
    https://files.example.com/mcp: https, or http on this computer, without a user name, a \
    query and a fragment";
const MAX_BYTES: usize = 512;

/// The URL of a resource server, which is the audience of its tokens (RFC 8707 section 2):
/// `https`, or `http` on this computer. Scheme and host are in lower case, and a slash that
/// is the whole path is left out, so that all spellings of clients are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = MAX_BYTES))]
pub struct ResourceUrl(String);

impl ResourceUrl {
    /// Parses a URL, in any spelling that clients use.
    pub fn parse(text: &str) -> Option<ResourceUrl> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = authority.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority.as_str(), None),
        };
        let is_port =
            |port: &str| port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok();
        let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let is_of_path =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/%".contains(&byte);
        let is_good = (scheme == "https" || scheme == "http" && is_local)
            && is_host(host)
            && port.is_none_or(is_port)
            && path.bytes().all(is_of_path);
        let path = if path == "/" { "" } else { path };
        is_good.then(|| ResourceUrl(format!("{scheme}://{authority}{path}")))
    }

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_of_name),
    }
}

impl TryFrom<String> for ResourceUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<ResourceUrl, Self::Error> {
        ResourceUrl::parse(&text).ok_or(EXPECTED)
    }
}

impl From<ResourceUrl> for String {
    fn from(url: ResourceUrl) -> String {
        url.0
    }
}

impl fmt::Display for ResourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_one_resource_are_one_url() {
        for (text, expected) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("HTTPS://A.Example/mcp", "https://a.example/mcp"),
            ("https://a.example/mcp/", "https://a.example/mcp/"),
            ("https://a.example/MCP", "https://a.example/MCP"),
            ("http://localhost:8001/mcp", "http://localhost:8001/mcp"),
            ("http://[::1]:8001", "http://[::1]:8001"),
        ] {
            assert_eq!(ResourceUrl::parse(text).unwrap().as_str(), expected);
        }
        for wrong in [
            "",
            "a.example",
            "https://",
            "https:///mcp",
            "http://a.example/mcp",
            "https://a.example/mcp#x",
            "https://a.example/mcp?x",
            "https://a@b.example/mcp",
            "https://a.example/m p",
            "https://a.example\\mcp",
            "https://a.example:x/",
            "urn:example:files",
        ] {
            assert_eq!(ResourceUrl::parse(wrong), None, "{wrong}");
        }
    }
}
