//! Whom a request comes from, when a proxy stands in between.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The proxies that are believed when they say whom they speak for. By default:
/// none, and what such headers say counts for nothing.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their addresses.
    pub trusted: Vec<IpNet>,
    /// The header in which they say it.
    pub header: ForwardedHeader,
}

/// The header in which proxies say whom they speak for. One of them: a proxy that
/// writes the one passes on the other as a client wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

impl Proxies {
    /// The address of whoever sent a request that came from `peer`. Each proxy adds
    /// the address that it was called from on the right, so this is the right-most
    /// one that is no proxy's: what is to the left of it, anybody can have written.
    /// Where that cannot be read it is the peer, and not what somebody made up.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        // An IPv4 client of an IPv6 socket is one and the same address to the
        // component, whichever way it came.
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        self.outermost(headers).unwrap_or(peer)
    }

    /// Whether a request from this peer came by HTTPS, as far as the proxy says.
    pub(super) fn says_https(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let proto = headers.get("x-forwarded-proto");
        self.trusts(peer.to_canonical()) && proto.is_some_and(|proto| proto == "https")
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    /// `None`: there is no such header, or it is malformed.
    fn outermost(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, parse): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => ("x-forwarded-for", address),
            ForwardedHeader::Forwarded => ("forwarded", forwarded_for),
        };
        let values = values(headers, &HeaderName::from_static(name))?;
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

/// All values of a header as the one list that they are (RFC 9110 §5.3).
fn values(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Result<Vec<_>, _> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str())
        .collect();
    Some(values.ok()?.join(","))
}

/// Splits where a separator stands outside quotes, from the right: what a proxy wrote
/// there is read aright, whatever stands to the left of it.
fn split_from_right(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.rsplit(move |c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

/// The `for` of one element of `Forwarded` (RFC 7239 §4); that is no address if the
/// proxy calls its client `unknown` or by a name of its own.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut node = None;
    for pair in split_from_right(element, ';') {
        let (name, value) = pair.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
            return None;
        }
    }
    let node = node?;
    let quoted = node
        .strip_prefix('"')
        .and_then(|node| node.strip_suffix('"'));
    address(quoted.unwrap_or(node))
}

/// An address with or without a port; one of IPv6 with a port is in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    in_brackets
        .unwrap_or(text)
        .parse()
        .or_else(|_| SocketAddr::from_str(text).map(|address| address.ip()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ForwardedHeader, peer: &str, values: &[&str]) -> String {
        let proxies = Proxies {
            trusted: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            header,
        };
        let mut headers = HeaderMap::new();
        // What the other header says is never looked at.
        headers.append("x-real-ip", "6.6.6.6".parse().unwrap());
        let (name, other) = match header {
            ForwardedHeader::XForwardedFor => ("x-forwarded-for", "forwarded"),
            ForwardedHeader::Forwarded => ("forwarded", "x-forwarded-for"),
        };
        headers.append(other, "for=6.6.6.6".parse().unwrap());
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_address_that_is_no_proxys_is_the_client() {
        let client = |values: &[&str]| client(ForwardedHeader::XForwardedFor, "10.0.0.1", values);
        assert_eq!(client(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["rubbish, 192.0.2.1 , 10.9.9.9"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6", "192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["\", 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client(&["[2001:dead::1]:4711"]), "2001:dead::1");
        assert_eq!(client(&["::ffff:192.0.2.1"]), "192.0.2.1");
        // All of them proxies: one of those has called.
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn what_cannot_be_read_is_the_peer() {
        for value in [
            "",
            "unknown",
            "192.0.2.1,",
            "192.0.2.1, x",
            "192.0.2",
            "a\"b",
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
    fn others_than_the_proxies_are_not_believed() {
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
    fn forwarded_is_read_as_its_rfc_has_it() {
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
        for malformed in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=192.0.2.1;for=6.6.6.6",
            "for=\"192.0.2.1",
            "192.0.2.1",
        ] {
            assert_eq!(client(&[malformed]), "2001:db8::1", "{malformed}");
        }
    }
}
