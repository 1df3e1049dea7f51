//! Callers: the credential that a call comes with, not yet verified, and its source.

use std::net::IpAddr;

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

/// The origin of a call for throttling: an IPv4 address, the /64 of an IPv6 address, which
/// is what one subscriber has, or this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(String);

impl Source {
    /// Returns the source of a peer's address; text that is not an address counts as this
    /// machine.
    pub fn from_peer(peer: Option<&str>) -> Source {
        let address = peer.and_then(|peer| peer.parse::<IpAddr>().ok());
        Source(match address.map(|address| address.to_canonical()) {
            None => "local".to_owned(),
            Some(IpAddr::V4(v4)) => v4.to_string(),
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        })
    }

    /// Returns the source as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what one customer of a provider has at most: an address, or an IPv6 /48.
    pub fn site(&self) -> String {
        let v6 = self.0.strip_suffix("::/64");
        let site = v6.and_then(|network| network.rsplit_once(':'));
        site.map_or_else(|| self.0.clone(), |(site, _)| format!("{site}::/48"))
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
