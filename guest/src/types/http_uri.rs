//! URIs of HTTP that a record or a request names: strict (RFC 3986), so that no two
//! programs read the same text differently.

use fluent_uri::Uri;
use fluent_uri::component::{Authority, Host};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// The parts of an `http` or `https` URI (RFC 9110 section 4.2) without a user name.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpUri<'a> {
    /// Whether the scheme is `https`.
    pub is_secure: bool,
    /// Whether the host is this machine: a loopback address (RFC 8252 section 7.3), or
    /// `localhost`.
    pub is_loopback: bool,
    /// The host as it was written, an IPv6 address in brackets.
    pub host: &'a str,
    /// The port, if it was written.
    pub port: Option<u16>,
}

impl<'a> HttpUri<'a> {
    /// Returns the parts of a URI, or `None` if its scheme is neither `http` nor `https`.
    ///
    /// Fails if it has a user name, or a host or a port that programs read differently.
    pub fn of(uri: &Uri<&'a str>) -> Option<Result<HttpUri<'a>, &'static str>> {
        let scheme = uri.scheme().as_str();
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let Some(authority) = uri.authority() else {
            return Some(Err("expected a host after the scheme"));
        };
        Some(parts(is_secure, &authority))
    }
}

fn parts<'a>(is_secure: bool, authority: &Authority<'a>) -> Result<HttpUri<'a>, &'static str> {
    if authority.has_userinfo() {
        return Err("expected no user name and no password");
    }
    let port = match authority.port() {
        None => None,
        Some(port) => Some(
            parse_port(port.as_str()).ok_or("expected a port from 1 to 65535 after the colon")?,
        ),
    };
    let host = authority.host();
    let is_loopback = match authority.host_parsed() {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::RegName(_) if is_name(host) => host.eq_ignore_ascii_case("localhost"),
        _ => return Err("expected a host such as example.com, in its ASCII form, or an address"),
    };
    Ok(HttpUri {
        is_secure,
        is_loopback,
        host,
        port,
    })
}

fn parse_port(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|port| *port != 0)
}

/// Reports whether a host is a name. Browsers take a name whose last label is a number for
/// an IPv4 address (`127.1`, `0x7f000001`), decode escaped characters, and refuse a label
/// that begins with `xn--` and encodes nothing.
fn is_name(host: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let labels = host.strip_suffix('.').unwrap_or(host);
    let last = labels.rsplit('.').next().unwrap_or(labels);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.starts_with("0x")
        || last.starts_with("0X");
    host.bytes().all(is_of_name) && !is_number && is_encoded(host)
}

/// Reports whether the labels that begin with `xn--` encode characters (UTS #46 section 4).
fn is_encoded(host: &str) -> bool {
    let deny = AsciiDenyList::URL;
    let ascii = Uts46::new().to_ascii(host.as_bytes(), deny, Hyphens::Allow, DnsLength::Ignore);
    ascii.is_ok_and(|ascii| ascii.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Result<HttpUri<'_>, &'static str>> {
        HttpUri::of(&Uri::parse(text).unwrap())
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, is_loopback) in [
            ("http://127.0.0.1/", true),
            ("http://127.8.8.8:80/", true),
            ("http://[::1]:80/", true),
            ("http://[0:0:0:0:0:0:0:1]/", true),
            ("http://localhost", true),
            ("http://LOCALHOST", true),
            ("http://localhost.example.com", false),
            ("http://localhost.", false),
            ("http://128.0.0.1/", false),
            ("http://0.0.0.0/", false),
            ("http://[::]/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("http://127.0.0.1.example.com/", false),
        ] {
            let parts = of(text).unwrap().unwrap();
            assert_eq!(parts.is_loopback, is_loopback, "{text}");
        }
    }

    #[test]
    fn hosts_and_ports_that_programs_read_differently_are_rejected() {
        for text in [
            "https:/x",
            "https:example.com",
            "https://",
            "https:///x",
            "https://:443/",
            "https://me@example.com/",
            "https://@example.com/",
            "https://me:secret@example.com/",
            "https://example.com:/",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://example.0x7f/",
            "https://example.1/",
            "https://example.1./",
            "https://./",
            "https://256.0.0.1/",
            "https://xn--a/",
            "https://xn--/",
            "https://a.xn--example-.com/",
            "https://ex%61mple.com/",
            "https://example!com/",
            "https://*.example.com/",
            "https://[v1.x]/",
        ] {
            assert!(of(text).unwrap().is_err(), "{text}");
        }
        assert_eq!(of("ftp://example.com/"), None);
        assert_eq!(of("httpss://example.com/"), None);
    }
}
