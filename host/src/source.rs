//! The source of a call, to which its share of common resources is charged.

use std::net::IpAddr;

/// An IPv4 address, the /64 network of an IPv6 address, which is what one subscriber
/// has, or this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// Standard input, the command line, or calls for which an embedder named no
    /// address.
    Local,
    V4(u32),
    /// The first 64 bits of the address.
    V6(u64),
}

impl Source {
    /// Returns the source for the text of an address; any other text counts as this
    /// machine, as in the component.
    pub(crate) fn of(address: Option<&str>) -> Self {
        let address = address.and_then(|address| address.parse::<IpAddr>().ok());
        address.map_or(Self::Local, Self::from)
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn spellings_of_one_source_are_equal() {
        let of = |address| Source::of(Some(address));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:0DB8::1:ffff:0:0:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("no address"), Source::Local);
        assert_eq!(Source::of(None), Source::Local);
    }
}
