//! Redirect URIs: where the answer to an authorization request goes (RFC 6749 section
//! 3.1.2, RFC 8252 section 7).

use std::net::Ipv6Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_BYTES: usize = 2000;
/// Schemes that a browser would run or show itself, instead of handing the URI to a
/// program.
const REFUSED_SCHEMES: [&str; 12] = [
    "about",
    "blob",
    "data",
    "file",
    "filesystem",
    "ftp",
    "https",
    "javascript",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// A redirect URI: `https`; `http` on this computer (`127.0.0.1`, `[::1]`, `localhost`), where
/// a program waits for the answer; or the own scheme of a program, such as
/// `com.example.app:/callback`. It has no fragment, no user name and no wildcard, and is
/// compared character by character, except for the port on this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("maxLength" = MAX_BYTES))]
pub struct RedirectUri(String);

/// What receives the answer, for people who decide about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver<'a> {
    /// The website with this host, and its port if it is an unusual one.
    Website(&'a str),
    /// A program on the computer of the browser.
    ThisComputer,
    /// The program that has registered this scheme.
    Scheme(&'a str),
}

impl RedirectUri {
    /// Returns the URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether a request may name `asked` where this URI is registered. A program
    /// on this computer gets its port from the system only when it starts (RFC 8252
    /// section 7.3), so any port will do there.
    pub fn admits(&self, asked: &RedirectUri) -> bool {
        match (on_this_computer(&self.0), on_this_computer(&asked.0)) {
            (Some(registered), Some(asked)) => registered == asked,
            _ => self == asked,
        }
    }

    /// Returns what receives the answer.
    pub fn receiver(&self) -> Receiver<'_> {
        if on_this_computer(&self.0).is_some() {
            return Receiver::ThisComputer;
        }
        match self.0.split_once("://") {
            Some(("https", rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                Receiver::Website(&rest[..end])
            }
            _ => Receiver::Scheme(self.0.split(':').next().unwrap_or_default()),
        }
    }

    /// Returns the URI with parameters added to its query (RFC 6749 section 4.1.2). The
    /// parameters are encoded already.
    pub fn with_query(&self, parameters: &str) -> String {
        let separator = match self.0.contains('?') {
            true if self.0.ends_with(['?', '&']) => "",
            true => "&",
            false => "?",
        };
        format!("{}{separator}{parameters}", self.0)
    }
}

/// Returns host and path with query of a URI on this computer, without the port.
fn on_this_computer(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((host(authority)?, path))
}

/// Returns the host of an authority, which has no user name and may have a port.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_none_or(is_port) {
        return None;
    }
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let is_good = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_of_name),
    };
    is_good.then_some(host)
}

/// Returns what is wrong with a URI, if anything.
fn problem(uri: &str) -> Option<&'static str> {
    // RFC 3986 appendix A: all that a URI may consist of, but for `#`, which begins a
    // fragment, and `*`, which people write as a wildcard.
    let is_of_uri =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()+,;=%".contains(&byte);
    if uri.len() > MAX_BYTES {
        return Some("expected at most 2000 bytes");
    }
    if !uri.bytes().all(is_of_uri) {
        return Some("expected a URI without a fragment, blanks and wildcards");
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return Some("expected a URI such as https://app.example.com/callback");
    };
    let authority = rest.strip_prefix("//").map(|rest| {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        &rest[..end]
    });
    match scheme {
        "https" => match authority.and_then(host) {
            Some(_) => None,
            None => Some("expected https://, a host, and no user name"),
        },
        "http" => match authority.and_then(host) {
            Some("127.0.0.1" | "[::1]" | "localhost") => None,
            _ => Some("expected https, or http on 127.0.0.1, [::1] or localhost"),
        },
        scheme => problem_of_own(scheme, rest),
    }
}

/// Returns what is wrong with a URI of a program's own scheme, if anything.
fn problem_of_own(scheme: &str, rest: &str) -> Option<&'static str> {
    let is_of_scheme =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(is_of_scheme);
    if !is_scheme || rest.is_empty() {
        return Some("expected a scheme in lower case, such as com.example.app:/callback");
    }
    let is_refused = REFUSED_SCHEMES.contains(&scheme);
    is_refused.then_some("this scheme belongs to browsers; expected https, or a program's own")
}

impl TryFrom<String> for RedirectUri {
    type Error = &'static str;

    fn try_from(text: String) -> Result<RedirectUri, Self::Error> {
        problem(&text).map_or(Ok(RedirectUri(text)), Err)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> String {
        uri.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn only_uris_that_lead_to_one_program_are_accepted() {
        for good in [
            "https://claude.ai/api/mcp/auth_callback",
            "https://app.example.com:8443/cb?x=1",
            "https://[2001:db8::1]/cb",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
            "http://[::1]:1/cb",
            "http://localhost/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/cb",
        ] {
            assert_eq!(uri(good).as_str(), good);
        }
        for wrong in [
            "",
            "app.example.com",
            "https://",
            "https:app",
            "https:///cb",
            "https://good@evil.example/cb",
            "https://app.example.com/#x",
            "https://*.example.com/cb",
            "https://app.example.com\\@evil.example/",
            "https://app.example.com:x/",
            "https://app.example.com:99999/",
            "https://\u{e4}pp.example.com/",
            "https://app.example.com/a b",
            "https://app.example.com/\t",
            "HTTPS://app.example.com/",
            "http://app.example.com/",
            "http://localhost.evil/",
            "http://127.0.0.1.evil/",
            "http://127.0.0.1@evil/",
            "http://0x7f000001/",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:x",
            "about:blank",
            "1app:/cb",
            "app:",
        ] {
            let parsed = RedirectUri::try_from(wrong.to_owned());
            assert!(parsed.is_err(), "{wrong}");
        }
        assert!(RedirectUri::try_from(format!("https://a/{}", "x".repeat(2000))).is_err());
    }

    #[test]
    fn a_request_may_differ_from_the_registered_uri_only_in_the_port_on_this_computer() {
        for (registered, asked) in [
            ("https://a.example/cb", "https://a.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:4711/cb"),
            ("http://127.0.0.1:80/cb", "http://127.0.0.1/cb"),
            ("http://[::1]:1/cb", "http://[::1]:2/cb"),
            (
                "http://localhost/callback",
                "http://localhost:3118/callback",
            ),
        ] {
            assert!(uri(registered).admits(&uri(asked)), "{registered} {asked}");
        }
        for (registered, asked) in [
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example/CB"),
            ("https://a.example/cb", "https://a.example/x/%2e%2e/cb"),
            ("https://a.example/cb", "https://a.example/cb?x=1"),
            ("https://a.example/cb", "https://a.example:8443/cb"),
            ("https://a.example/cb", "https://a.example:443/cb"),
            ("https://a.example/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb2"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb?x"),
            ("http://localhost/cb", "https://localhost/cb"),
            ("app.example:/cb", "app.example:/cb2"),
        ] {
            assert!(!uri(registered).admits(&uri(asked)), "{registered} {asked}");
        }
    }

    #[test]
    fn people_learn_what_receives_the_answer() {
        for (text, expected) in [
            (
                "https://a.example:8443/cb?x",
                Receiver::Website("a.example:8443"),
            ),
            ("https://a.example", Receiver::Website("a.example")),
            ("http://[::1]:7/cb", Receiver::ThisComputer),
            ("cursor://x/cb", Receiver::Scheme("cursor")),
        ] {
            assert_eq!(uri(text).receiver(), expected);
        }
    }

    #[test]
    fn parameters_are_added_to_the_query() {
        for (text, expected) in [
            ("https://a/cb", "https://a/cb?code=x"),
            ("https://a/cb?y=1", "https://a/cb?y=1&code=x"),
            ("https://a/cb?", "https://a/cb?code=x"),
            ("app:/cb", "app:/cb?code=x"),
        ] {
            assert_eq!(uri(text).with_query("code=x"), expected);
        }
    }
}
