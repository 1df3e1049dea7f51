//! Parses hosts with an optional port, from requests and settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1035 section 2.3.4.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A host with an optional port, and nothing else: no user, no empty port, no zone, no
/// trailing dot, and nothing that two parsers could read as two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, if the text names one.
    pub port: Option<u16>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// A set of hosts that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// This host.
    One(Host),
    /// All names with exactly one label more than this one: `*.example.com`.
    Below(String),
}

impl Authority {
    /// Parses an authority, or returns `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        Some(Self {
            host: Host::parse(host)?,
            port,
        })
    }

    /// Returns whether both name the same place; a missing port stands for
    /// `default_port`.
    pub fn is(&self, other: &Self, default_port: u16) -> bool {
        let port = |of: &Self| of.port.unwrap_or(default_port);
        self.host == other.host && port(self) == port(other)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let in_brackets = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
        if let Some(inner) = in_brackets {
            let address: Ipv6Addr = inner?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        is_name(text).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// Returns whether the host is this machine itself.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl Hosts {
    /// Parses a host or a wildcard, or returns `None` if the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(above) = text.strip_prefix("*.") else {
            return Host::parse(text).map(Self::One);
        };
        // Everyone has a name below a single label such as `com`.
        let is_above = is_name(above) && above.contains('.');
        is_above.then(|| Self::Below(above.to_ascii_lowercase()))
    }

    /// Parses a host or a wildcard with an optional port.
    pub fn parse_with_port(text: &str) -> Option<(Self, Option<u16>)> {
        let (hosts, port) = split(text)?;
        Some((Self::parse(hosts)?, port))
    }

    /// Returns whether the host is one of these.
    pub fn contain(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::One(one), host) => one == host,
            (Self::Below(above), Host::Name(name)) => {
                let label = name.strip_suffix(above.as_str());
                let label = label.and_then(|label| label.strip_suffix('.'));
                label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
            }
            (Self::Below(_), Host::Address(_)) => false,
        }
    }
}

/// Returns the default port of a URL scheme.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Splits a host and its port.
pub(crate) fn split(text: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address are in brackets.
    match text.rfind(':').filter(|at| !text[*at..].contains(']')) {
        Some(at) => Some((&text[..at], Some(port(&text[at + 1..])?))),
        None => Some((text, None)),
    }
}

/// Parses a port. Zero, signs and leading zeros are rejected.
fn port(digits: &str) -> Option<u16> {
    let port: u16 = digits.parse().ok()?;
    (port > 0 && port.to_string() == digits).then_some(port)
}

/// Returns whether this is a DNS name, which may contain `_` as machine names do.
/// Browsers read a name that ends in a number as an address, and addresses are not
/// written that way here (the URL standard, section 3.5).
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(is_good)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_parsed_completely() {
        for (text, shown) in [
            ("localhost", "localhost"),
            ("LocalHost:8000", "localhost:8000"),
            ("user_auth-1.example:1", "user_auth-1.example:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[::1]", "[::1]"),
            ("[0:0::1]:80", "[::1]:80"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("3com.example", "3com.example"),
        ] {
            let authority = Authority::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(authority.to_string(), shown);
        }
        let long = "a".repeat(64);
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:+80",
            "a:65536",
            "a:80:80",
            "a:80.example",
            "a:b",
            "a b",
            "a,b",
            "a/",
            "a?b",
            "a#b",
            "a@b",
            "@a",
            "a.",
            ".a",
            "a..b",
            "*.a.b",
            "%61",
            "[::1",
            "::1]",
            "[::1]a",
            "[::1].a",
            "[::1]:",
            "[::1%1]",
            "[::1%25lo]",
            "[127.0.0.1]",
            "[v1.a]",
            "[[::1]]",
            "::1",
            "127.1",
            "127.0.0.1.1",
            "127.0.0.01",
            "1",
            "a.0x1",
            "a.0X",
            &long,
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label_above_two() {
        let below = Hosts::parse("*.Example.com").unwrap();
        let contain = |name: &str| below.contain(&Host::parse(name).unwrap());
        assert!(contain("a.example.com") && contain("A-1.EXAMPLE.com"));
        for name in [
            "example.com",
            "a.b.example.com",
            "aexample.com",
            "a.example.com.evil",
            "127.0.0.1",
        ] {
            assert!(!contain(name), "{name}");
        }
        for text in [
            "*", "*.com", "*.", "a.*.com", "*a.b.com", "**.b.com", "*.*.com", "*.1.2",
        ] {
            assert_eq!(Hosts::parse(text), None, "{text}");
        }
    }
}
