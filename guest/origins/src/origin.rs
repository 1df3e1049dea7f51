//! Origins (RFC 6454): the page or program that a browser or web view acts for.

use crate::authority::{Authority, Host, Hosts, default_port, split as split_port};

/// An origin, as browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A web page.
    Web(Web<Host>),
    /// A program that shows its own pages, such as `tauri://localhost`, or a browser
    /// extension.
    Program(String),
    /// A page that has no origin, or does not reveal it.
    Null,
}

/// A set of origins that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    Web(Web<Hosts>),
    One(Origin),
}

/// The scheme, host and port of web pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web<H> {
    is_https: bool,
    /// The host, or a set of hosts.
    pub host: H,
    port: u16,
}

impl Origin {
    /// Parses an origin, or returns `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let (scheme, rest) = split(text)?;
        let Some(default_port) = default_port(&scheme) else {
            return program(&scheme, rest);
        };
        let Authority { host, port } = Authority::parse(rest)?;
        Some(Self::Web(Web {
            is_https: scheme == "https",
            host,
            port: port.unwrap_or(default_port),
        }))
    }
}

impl Origins {
    /// Parses an origin or a wildcard, or returns `None` if no origin can match it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let web =
            split(text).and_then(|(scheme, rest)| Some((default_port(&scheme)?, scheme, rest)));
        let Some((default_port, scheme, rest)) = web else {
            return Origin::parse(text).map(Self::One);
        };
        let (host, port) = Hosts::parse_with_port(rest)?;
        Some(Self::Web(Web {
            is_https: scheme == "https",
            host,
            port: port.unwrap_or(default_port),
        }))
    }

    pub(crate) fn contain(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Web(listed), Origin::Web(web)) => {
                listed.is_https == web.is_https
                    && listed.port == web.port
                    && listed.host.contain(&web.host)
            }
            (Self::One(listed), origin) => listed == origin,
            (Self::Web(_), _) => false,
        }
    }
}

/// Splits the scheme, in lower case, from the rest (RFC 3986 section 3.1).
fn split(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_scheme && scheme.bytes().all(is_good)).then(|| (scheme.to_ascii_lowercase(), rest))
}

/// Returns the origin of a program. Programs define what their hosts mean, so the case
/// of letters is kept.
fn program(scheme: &str, host: &str) -> Option<Origin> {
    let (name, _port) = split_port(host)?;
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_host = (1..=255).contains(&name.len()) && name.bytes().all(is_good);
    is_host.then(|| Origin::Program(format!("{scheme}://{host}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports_and_case_are_ignored() {
        let same = |a: &str, b: &str| Origin::parse(a).unwrap() == Origin::parse(b).unwrap();
        assert!(same("https://A.example", "HTTPS://a.example:443"));
        assert!(same("http://a.example:80", "http://a.example"));
        assert!(!same("http://a.example:443", "https://a.example"));
        assert!(!same("https://a.example:80", "https://a.example"));
        assert!(same("TAURI://localhost", "tauri://localhost"));
        assert!(!same("tauri://Localhost", "tauri://localhost"));
        assert!(!same("tauri://localhost:1", "tauri://localhost"));
    }

    #[test]
    fn invalid_origins_are_rejected() {
        for text in [
            "",
            "*",
            "NULL",
            "https://",
            "https:a.example",
            "://a.example",
            "1http://a.example",
            "ht tp://a.example",
            "https://a.example/",
            "https://a.example:",
            "https://a.example:evil",
            "https://a.example:99999",
            "https://a@b.example",
            "https://a.example https://b.example",
            "https://*.a.example",
            "tauri://",
            "tauri://*",
            "tauri://a/b",
            "tauri://a:",
            "tauri://a:b",
            "tauri://a:0",
            "tauri://a:99999",
            "tauri://a@b",
            "tauri://[::1]",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_listed_origins_match() {
        for (listed, origin, expected) in [
            ("https://*.a.example", "https://b.a.example:443", true),
            ("https://*.a.example:8443", "https://b.a.example:8443", true),
            ("https://*.a.example:8443", "https://b.a.example", false),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "http://b.a.example", false),
            ("null", "null", true),
            ("null", "https://a.example", false),
            ("tauri://localhost", "tauri://localhost", true),
            ("tauri://localhost", "http://localhost", false),
            ("http://localhost", "tauri://localhost", false),
        ] {
            let listed_origins = Origins::parse(listed).unwrap();
            let contained = listed_origins.contain(&Origin::parse(origin).unwrap());
            assert_eq!(contained, expected, "{listed} {origin}");
        }
        for text in [
            "https://*",
            "https://*.example",
            "*://a.example",
            "tauri://*.a.b",
            "*",
        ] {
            assert_eq!(Origins::parse(text), None, "{text}");
        }
    }
}
