//! Finds the client of a request that was forwarded by a proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The reverse proxies whose forwarding headers are trusted. By default there are none,
/// and such headers are ignored.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// Addresses of the proxies.
    pub trusted: Vec<IpNet>,
    /// The header in which they name the client.
    pub header: ForwardedHeader,
}

/// The header in which proxies name the client. Only one is read, because a proxy that
/// writes one of them forwards the other as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

impl TrustedProxies {
    /// Returns the address of the client that sent a request received from `peer`. Each
    /// proxy appends the address that called it, so the client is the right-most
    /// address that is not a proxy's; anything to its left may be forged. If the header
    /// cannot be read, the peer counts as the client.
    pub(crate) fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        // The component has to see one address for an IPv4 client, whether its socket
        // was IPv4 or IPv6.
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        self.outermost(headers).unwrap_or(peer)
    }

    /// Returns whether the proxy says that a request from this peer came over HTTPS.
    /// The header must hold one word: of several, the client may have sent some.
    pub(crate) fn says_https(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        if !self.trusts(peer) {
            return false;
        }
        let scheme = match self.header {
            ForwardedHeader::XForwardedFor => Some(values(headers, &X_FORWARDED_PROTO)),
            ForwardedHeader::Forwarded => {
                let values = values(headers, &FORWARDED);
                let nearest = split_from_right(&values, ',').next();
                let scheme = nearest.and_then(|nearest| parameter(nearest, "proto"));
                scheme.map(str::to_owned)
            }
        };
        scheme.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
    }

    /// Returns whether this is the address of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Returns the address from the header, or `None` if the header is missing or
    /// malformed.
    fn outermost(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (&X_FORWARDED_FOR, address),
            ForwardedHeader::Forwarded => {
                (&FORWARDED, |element| address(parameter(element, "for")?))
            }
        };
        let values = values(headers, name);
        let mut outermost = None;
        for element in split_from_right(&values, ',') {
            let address = parse(element.trim())?.to_canonical();
            outermost = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        outermost
    }
}

/// Joins all values of a header into one list (RFC 9110 §5.3). Bytes that are not text
/// may come from the client and only spoil the element that contains them.
fn values(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let texts: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    texts.join(",")
}

/// Splits at separators outside quotes, from the right, so that the part written by the
/// proxy is parsed correctly, whatever is to its left.
fn split_from_right(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.rsplit(move |c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

/// Returns a parameter of one element of `Forwarded` (RFC 7239 section 4), if it is
/// there. In an element with a backslash, a quote may come from a client, and
/// everything to its left could belong to the quoted text, so no parameter of it is
/// used.
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    if element.contains('\\') {
        return None;
    }
    let mut found = None;
    for pair in split_from_right(element, ';') {
        let (name, value) = pair.trim().split_once('=')?;
        if name.eq_ignore_ascii_case(wanted) && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Some(quoted.unwrap_or(value))
}

/// Parses an address with or without a port, and without a zone; an IPv6 address with a
/// port is in brackets.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let address: Ipv6Addr = address.parse().ok()?;
        return is_port.then_some(address.into());
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    let (address, port) = text.split_once(':').unwrap_or((text, "0"));
    let address: Ipv4Addr = address.parse().ok()?;
    is_port(port).then_some(address.into())
}

/// Returns whether this is a port of RFC 7239 section 6: digits, or an obfuscated name
/// chosen by the proxy.
fn is_port(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('_') {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        return !name.is_empty() && name.bytes().all(is_good);
    }
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ForwardedHeader, peer: &str, values: &[&str]) -> String {
        let proxies = TrustedProxies {
            trusted: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            header,
        };
        let mut headers = HeaderMap::new();
        // The other header must be ignored.
        headers.append("x-real-ip", "6.6.6.6".parse().unwrap());
        let (name, other) = match header {
            ForwardedHeader::XForwardedFor => ("x-forwarded-for", "forwarded"),
            ForwardedHeader::Forwarded => ("forwarded", "x-forwarded-for"),
        };
        headers.append(other, "for=6.6.6.6".parse().unwrap());
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        proxies
            .client_ip(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn the_right_most_address_that_is_not_a_proxy_is_the_client() {
        let client = |values: &[&str]| client(ForwardedHeader::XForwardedFor, "10.0.0.1", values);
        assert_eq!(client(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["rubbish, 192.0.2.1 , 10.9.9.9"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["\", 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client(&["[2001:dead::1]:4711"]), "2001:dead::1");
        assert_eq!(client(&["[2001:dead::1]"]), "2001:dead::1");
        assert_eq!(client(&["2001:DEAD::1"]), "2001:dead::1");
        assert_eq!(client(&["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["\u{fc}, 192.0.2.1"]), "192.0.2.1");
        // All of them are proxies: one of them sent the request itself.
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn an_unreadable_header_yields_the_peer() {
        for value in [
            "",
            "unknown",
            "192.0.2.1,",
            "192.0.2.1, x",
            "192.0.2",
            "a\"b",
            "[192.0.2.1]",
            "[192.0.2.1]:80",
            "192.0.2.1:",
            "192.0.2.1:+80",
            "192.0.2.1:99999",
            "192.0.2.1:80:80",
            "192.0.2.1.evil",
            "192.0.2.01",
            "fe80::1%eth0",
            "[fe80::1%1]:80",
            "[2001:dead::1",
            "[2001:dead::1]80",
            "[2001:dead::1].evil",
            "[[2001:dead::1]]",
            "\"192.0.2.1\"",
        ] {
            let client = client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[value]);
            assert_eq!(client, "10.0.0.1", "{value}");
        }
        assert_eq!(
            client(ForwardedHeader::XForwardedFor, "10.0.0.1", &[]),
            "10.0.0.1"
        );
    }

    #[test]
    fn headers_of_untrusted_peers_are_ignored() {
        for peer in ["192.0.2.9", "::1", "127.0.0.1"] {
            let told = client(ForwardedHeader::XForwardedFor, peer, &["6.6.6.6"]);
            assert_eq!(told, peer);
        }
        let mapped = client(
            ForwardedHeader::XForwardedFor,
            "::ffff:10.0.0.1",
            &["192.0.2.1"],
        );
        assert_eq!(mapped, "192.0.2.1");
    }

    #[test]
    fn forwarded_is_parsed_as_in_rfc_7239() {
        let client = |values: &[&str]| client(ForwardedHeader::Forwarded, "2001:db8::1", values);
        assert_eq!(client(&["for=192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client(&["For=\"[2001:dead::1]:4711\";proto=https;by=10.0.0.1"]),
            "2001:dead::1"
        );
        assert_eq!(
            client(&["for=6.6.6.6, for=192.0.2.1;host=\"a,b;c\", for=10.0.0.2"]),
            "192.0.2.1"
        );
        assert_eq!(client(&["for=\"", "for=192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["for=\"192.0.2.1:_hidden\""]), "192.0.2.1");
        // A proxy that quotes the client's own header: this is one element, and only
        // the proxy's quotes count.
        let quoted = r#"for=192.0.2.1;host="x\", for=6.6.6.6;y=\"z""#;
        assert_eq!(client(&[quoted]), "2001:db8::1");
        assert_eq!(client(&[&format!("{quoted}, for=192.0.2.1")]), "192.0.2.1");
        for malformed in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=192.0.2.1;for=6.6.6.6",
            "for=\"192.0.2.1",
            "for=[2001:dead::1%1]",
            "for=192.0.2.1:99999",
            "192.0.2.1",
        ] {
            assert_eq!(client(&[malformed]), "2001:db8::1", "{malformed}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_can_declare_https() {
        let says = |header, name: &'static str, values: &[&str], peer: &str| {
            let proxies = TrustedProxies {
                trusted: vec!["10.0.0.0/8".parse().unwrap()],
                header,
            };
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(name, value.parse().unwrap());
            }
            proxies.says_https(peer.parse().unwrap(), &headers)
        };
        let x = |values: &[&str]| {
            let header = ForwardedHeader::XForwardedFor;
            says(header, "x-forwarded-proto", values, "10.0.0.1")
        };
        assert!(x(&["https"]) && x(&["HTTPS"]));
        for values in [
            &["http"][..],
            &["https,https"],
            &["https", "https"],
            &[""],
            &[],
        ] {
            assert!(!x(values), "{values:?}");
        }
        let forwarded =
            |values: &[&str]| says(ForwardedHeader::Forwarded, "forwarded", values, "10.0.0.1");
        assert!(forwarded(&["for=a;proto=\"Https\""]));
        assert!(forwarded(&["proto=http", "proto=https"]));
        for values in [
            &["proto=https", "for=a"][..],
            &["proto=https;proto=https"],
            &["proto=https, proto=http"],
            &[r#"proto=https;host="\"""#],
        ] {
            assert!(!forwarded(values), "{values:?}");
        }
        let header = ForwardedHeader::XForwardedFor;
        assert!(!says(header, "x-forwarded-proto", &["https"], "192.0.2.1"));
    }
}
