//! Callers: the credential that a call comes with, not yet verified, and its source.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::ports::Credential;
use crate::types::secret::Secret;

/// The credential of a caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No credential.
    Anonymous,
    /// An access token that has yet to be verified.
    AccessToken(Secret),
    /// An API key that has yet to be verified.
    ApiKey(Secret),
    /// The operator who runs the host: standard input and the command line.
    Operator,
}

impl Principal {
    /// Returns the kind of the credential, for the audit log.
    pub fn credential(&self) -> Credential {
        match self {
            Principal::Anonymous => Credential::Anonymous,
            Principal::AccessToken(_) => Credential::AccessToken,
            Principal::ApiKey(_) => Credential::ApiKey,
            Principal::Operator => Credential::Operator,
        }
    }
}

/// The origin of a call for throttling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This machine.
    Local,
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The segments of an IPv6 /64, which is what one subscriber has.
    V6([u16; 4]),
}

impl Source {
    /// Returns the source of a peer's address; text that is not an address counts as this
    /// machine.
    pub fn from_peer(peer: Option<&str>) -> Source {
        let address = peer.and_then(|peer| peer.parse::<IpAddr>().ok());
        match address.map(|address| address.to_canonical()) {
            None => Source::Local,
            Some(IpAddr::V4(v4)) => Source::V4(v4),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                Source::V6([a, b, c, d])
            }
        }
    }

    /// Returns what one customer of a provider has at most: an address, or an IPv6 /48.
    pub fn site(self) -> String {
        match self {
            Source::V6([a, b, c, _]) => format!("{a:x}:{b:x}:{c:x}::/48"),
            Source::Local | Source::V4(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Local => f.write_str("local"),
            Source::V4(v4) => v4.fmt(f),
            Source::V6([a, b, c, d]) => write!(f, "{a:x}:{b:x}:{c:x}:{d:x}::/64"),
        }
    }
}

/// A caller: a credential and a source.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The credential.
    pub principal: Principal,
    /// The source of the call.
    pub source: Source,
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn spellings_of_an_address_and_one_ipv6_64_network_are_one_source() {
        let of = |peer| Source::from_peer(Some(peer));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:0DB8::1:ffff:0:0:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(of("2001:0DB8::1").to_string(), "2001:db8:0:0::/64");
        assert_eq!(Source::from_peer(None).to_string(), "local");
    }

    #[test]
    fn the_networks_of_one_ipv6_48_are_one_site() {
        let of = |peer| Source::from_peer(Some(peer)).site();
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:ffff::1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:1:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(Source::from_peer(None).site(), "local");
    }
}
