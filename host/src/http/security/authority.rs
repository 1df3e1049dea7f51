//! Parses hosts with an optional port, from requests and settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::{HeaderMap, HeaderName, Uri, Version, uri};

/// RFC 1035 section 2.3.4.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A host with an optional port, and nothing else: no user, no empty port, no zone, no
/// trailing dot, and nothing that two parsers could read as two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name, in lower case.
    Name(String),
    Address(IpAddr),
}

/// A set of hosts that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    One(Host),
    /// All names with exactly one label more than this one: `*.example.com`.
    Below(String),
}

impl Authority {
    /// Parses an authority, or returns `None` if the text is anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = split(text)?;
        Some(Self {
            host: Host::parse(host)?,
            port,
        })
    }

    /// Returns the host of a request, from its target or its Host header (RFC 9112
    /// section 3.2). `Err` says what is wrong with it.
    pub(crate) fn of_request(
        uri: &Uri,
        headers: &HeaderMap,
        version: Version,
    ) -> Result<Option<Self>, String> {
        let form = "a host name or address, with or without a port";
        let parse = |text: &str, part: &str| {
            Self::parse(text).ok_or_else(|| format!("the {part} is not {form}"))
        };
        let header = only(headers, &HOST)?;
        let header = header.map(|text| parse(text, "Host header")).transpose()?;
        // The target of a CONNECT names a host as well; this server has no resource for
        // those.
        let Some(scheme) = uri.scheme_str() else {
            return match header {
                None if version >= Version::HTTP_11 => Err("the Host header is missing".into()),
                header => Ok(header),
            };
        };
        let Some(default_port) = default_port(scheme) else {
            return Err("the target of the request is not an HTTP URL".into());
        };
        let target = uri.authority().map(uri::Authority::as_str);
        let target = parse(target.unwrap_or_default(), "host in the target")?;
        match &header {
            Some(header) if !header.is(&target, default_port) => {
                Err("the Host header differs from the target of the request".into())
            }
            _ => Ok(Some(target)),
        }
    }

    /// Returns whether both name the same place; a missing port stands for
    /// `default_port`.
    fn is(&self, other: &Self, default_port: u16) -> bool {
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
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl Hosts {
    /// Parses a host or a wildcard, or returns `None` if the text is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Some(above) = text.strip_prefix("*.") else {
            return Host::parse(text).map(Self::One);
        };
        // Everyone has a name below a single label such as `com`.
        let is_above = is_name(above) && above.contains('.');
        is_above.then(|| Self::Below(above.to_ascii_lowercase()))
    }

    /// Parses a host or a wildcard with an optional port.
    pub(crate) fn parse_with_port(text: &str) -> Option<(Self, Option<u16>)> {
        let (hosts, port) = split(text)?;
        Some((Self::parse(hosts)?, port))
    }

    pub(crate) fn contain(&self, host: &Host) -> bool {
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
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Returns the only value of a header. With two, a proxy and this server could each use
/// a different one.
pub(crate) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("there is more than one {name} header"));
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err(format!("the {name} header is not plain text")),
    }
}

/// Splits a host and its port. The `http` crate finds no port in `localhost:80.example`
/// and accepts it, so everything after the host has to be a port here.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let authority: uri::Authority = text.parse().ok()?;
    let host_length = authority.host().len();
    // The `http` crate permits a user before the host.
    let (host, rest) = text.split_at_checked(host_length)?;
    if host != authority.host() {
        return None;
    }
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    let port: u16 = digits.parse().ok()?;
    // Zero, signs and leading zeros are rejected.
    (port > 0 && port.to_string() == digits).then_some((host, Some(port)))
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
