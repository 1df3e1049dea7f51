//! Origins (RFC 6454): the page or program that a browser or web view acts for. They are
//! parsed as the bundled host parses them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1035 section 2.3.4.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// An origin, as browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A web page.
    Web {
        /// `https`, or `http`.
        is_https: bool,
        /// Its host.
        host: Host,
        /// Its port, the default one where it names none.
        port: u16,
    },
    /// A program that shows its own pages, such as `tauri://localhost`, or a browser
    /// extension.
    Program(String),
    /// A page that has no origin, or does not reveal it.
    Null,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
    /// In a list: all names with exactly one more label than this one.
    Below(String),
}

impl Origin {
    /// Parses an origin that a browser sends, or returns `None` if the text is anything
    /// else.
    pub fn parse(text: &str) -> Option<Origin> {
        read(text, host)
    }

    /// Parses an entry of a list, or returns `None` if no origin can match it.
    pub fn parse_listed(text: &str) -> Option<Origin> {
        read(text, |text| match text.strip_prefix("*.") {
            // Anyone can register a name under one label, such as `com`.
            Some(above) => (is_name(above) && above.contains('.'))
                .then(|| Host::Below(above.to_ascii_lowercase())),
            None => host(text),
        })
    }

    /// Returns whether this entry of a list matches the other origin.
    pub fn contains(&self, other: &Origin) -> bool {
        let (
            Origin::Web {
                is_https,
                host: Host::Below(above),
                port,
            },
            Origin::Web {
                is_https: other_is_https,
                host: Host::Name(name),
                port: other_port,
            },
        ) = (self, other)
        else {
            return self == other;
        };
        let label = name.strip_suffix(above.as_str());
        let label = label.and_then(|label| label.strip_suffix('.'));
        is_https == other_is_https
            && port == other_port
            && label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
    }
}

fn read(text: &str, host: impl Fn(&str) -> Option<Host>) -> Option<Origin> {
    if text == "null" {
        return Some(Origin::Null);
    }
    let (scheme, rest) = text.split_once("://")?;
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_scheme || !scheme.bytes().all(is_good) {
        return None;
    }
    let scheme = scheme.to_ascii_lowercase();
    // The host may have colons in brackets.
    let (name, port) = match rest.rfind(':').filter(|at| !rest[*at..].contains(']')) {
        Some(at) => (&rest[..at], Some(port(&rest[at + 1..])?)),
        None => (rest, None),
    };
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return is_program(name).then(|| Origin::Program(format!("{scheme}://{rest}"))),
    };
    Some(Origin::Web {
        is_https: scheme == "https",
        host: host(name)?,
        port: port.unwrap_or(default_port),
    })
}

/// Parses a port other than 0, without a sign or leading zeros.
fn port(digits: &str) -> Option<u16> {
    let port: u16 = digits.parse().ok()?;
    (port > 0 && port.to_string() == digits).then_some(port)
}

fn host(text: &str) -> Option<Host> {
    let in_brackets = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
    if let Some(inner) = in_brackets {
        let address: Ipv6Addr = inner?.parse().ok()?;
        return Some(Host::Address(address.into()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    is_name(text).then(|| Host::Name(text.to_ascii_lowercase()))
}

/// Browsers parse a host whose last label is a number as an IPv4 address (URL standard,
/// section 3.5), so such a host is not a name.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_good)
    };
    let last = text.rsplit_once('.').map_or(text, |(_, last)| last);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label) && !is_number
}

/// The program defines what such a host means, so its case is kept.
fn is_program(host: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=255).contains(&host.len()) && host.bytes().all(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed_completely_or_rejected() {
        let same = |a: &str, b: &str| Origin::parse(a).unwrap() == Origin::parse(b).unwrap();
        assert!(same("https://A.example", "HTTPS://a.example:443"));
        assert!(same("http://[::1]:80", "http://[0::1]"));
        assert!(!same("http://a.example:443", "https://a.example"));
        assert!(same("TAURI://localhost", "tauri://localhost"));
        assert!(!same("tauri://Localhost", "tauri://localhost"));
        for text in [
            "",
            "*",
            "NULL",
            "https://",
            "https:a.example",
            "1http://a.example",
            "https://a.example/",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:080",
            "https://a.example:+80",
            "https://a.example:evil",
            "https://a.example:99999",
            "https://a.example:80:80",
            "https://a.example:443.evil.example",
            "https://a.example.",
            "https://a@b.example",
            "https://a.example https://b.example",
            "https://*.a.example",
            "https://[::1].a.example",
            "https://[::1",
            "https://[127.0.0.1]",
            "https://[::1%25lo]",
            "https://::1",
            "https://127.1",
            "https://%61.example",
            "tauri://",
            "tauri://*",
            "tauri://a/b",
            "tauri://a:",
            "tauri://a@b",
            "tauri://[::1]",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wildcard_matches_exactly_one_label() {
        let listed = Origin::parse_listed("https://*.A.example").unwrap();
        for (origin, expected) in [
            ("https://b.a.example", true),
            ("https://b.a.example:443", true),
            ("https://b.a.example:8443", false),
            ("http://b.a.example", false),
            ("https://a.example", false),
            ("https://c.b.a.example", false),
            ("https://ba.example", false),
            ("null", false),
        ] {
            let origin_read = Origin::parse(origin).unwrap();
            assert_eq!(listed.contains(&origin_read), expected, "{origin}");
        }
        for text in [
            "*",
            "https://*",
            "https://*.example",
            "https://b.*.a.example",
            "*://a.example",
            "tauri://*.a.b",
        ] {
            assert_eq!(Origin::parse_listed(text), None, "{text}");
        }
    }
}
