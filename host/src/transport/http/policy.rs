//! What a server holds its callers to.

use std::num::NonZeroU32;
use std::str::FromStr;

use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};

use super::{Allowed, Proxies};

/// What a server holds its callers to. By default: nothing but that they name a
/// host, and web pages an origin, of this machine.
///
/// That callers need an API key is a matter of the component:
/// [`PluginBuilder::require_api_key`](crate::PluginBuilder::require_api_key).
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The hosts and origins that requests may name.
    pub allowed: Allowed,
    /// Whether browsers are told that web pages of those origins may call (the
    /// CORS protocol of the Fetch standard).
    pub cors: bool,
    /// The header that holds the API key of a caller.
    pub key_header: KeyHeader,
    /// How often one caller may call; `None`: as often as they like.
    pub rate: Option<Rate>,
    /// The proxies that are believed when they say whom they speak for.
    pub proxies: Proxies,
    /// Whether the listener speaks TLS: then browsers are told to insist on it
    /// (RFC 6797), and the server card names an `https` address.
    pub https: bool,
}

/// How often one caller may call `/mcp`, `/metrics` and `/mcp/server-card`. A
/// caller is an API key that has been verified, or else a source: an IPv4 address,
/// or an IPv6 /64, which is what one subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many requests a minute are let through in the long run.
    pub requests_per_minute: NonZeroU32,
    /// So many may come at once, after a pause.
    pub burst_size: NonZeroU32,
}

/// The name of the header that holds an API key; `X-API-Key` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    name: HeaderName,
    /// As it was written down, for people.
    shown: String,
}

/// Why a server cannot hold its callers to a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a header name, or one that is for something else.
    #[error("'{0}' cannot be the header of API keys: write a name of its own, such as X-API-Key")]
    KeyHeader(String),
    /// Every web page may call, and nobody is asked for a key.
    #[error(
        "the origin * lets the web pages of everybody call, which takes API keys \
         (security.authentication.type = \"api_key\"): name the origins, or require keys"
    )]
    AnyOrigin,
}

impl Policy {
    /// Fails when it would leave a server open to every web page that somebody on
    /// its network looks at.
    pub fn check(&self, requires_api_key: bool) -> Result<(), PolicyError> {
        match self.allowed.any_origin && !requires_api_key {
            true => Err(PolicyError::AnyOrigin),
            false => Ok(()),
        }
    }
}

impl From<Allowed> for Policy {
    fn from(allowed: Allowed) -> Self {
        Self {
            allowed,
            ..Self::default()
        }
    }
}

impl KeyHeader {
    /// The name, in lower case.
    pub(super) fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The key in these headers, if there is exactly one.
    pub(super) fn only<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let mut values = headers.get_all(&self.name).iter();
        let value = values.next()?;
        values.next().is_none().then_some(value.as_bytes())
    }

    /// What callers without a good key are told to send (RFC 9110 §11.6.1).
    pub(super) fn challenge(&self) -> String {
        format!("ApiKey realm=\"user-auth\", header=\"{}\"", self.shown)
    }

    /// For people.
    pub(super) fn as_str(&self) -> &str {
        &self.shown
    }
}

/// Headers of others, which may not hold a key.
const TAKEN: [&str; 11] = [
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl FromStr for KeyHeader {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let error = || PolicyError::KeyHeader(text.to_owned());
        let name: HeaderName = text.parse().map_err(|_| error())?;
        let taken = [
            ACCEPT,
            AUTHORIZATION,
            CONTENT_LENGTH,
            CONTENT_TYPE,
            HOST,
            ORIGIN,
        ];
        let means_something_else = |name: &str| {
            name.starts_with("mcp-") || name.starts_with("x-forwarded-") || TAKEN.contains(&name)
        };
        if taken.contains(&name) || means_something_else(name.as_str()) {
            return Err(error());
        }
        Ok(Self {
            name,
            shown: text.to_owned(),
        })
    }
}

impl Default for KeyHeader {
    fn default() -> Self {
        Self {
            name: HeaderName::from_static("x-api-key"),
            shown: "X-API-Key".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_header_of_its_own() {
        for taken in ["Authorization", "host", "Mcp-Method", "X API Key", ""] {
            assert!(taken.parse::<KeyHeader>().is_err(), "{taken}");
        }
        let header: KeyHeader = "X-Team-Key".parse().unwrap();
        assert_eq!(
            header.challenge(),
            "ApiKey realm=\"user-auth\", header=\"X-Team-Key\""
        );
    }

    #[test]
    fn the_pages_of_everybody_take_keys() {
        let policy = Policy::from(Allowed::default().origin("*").unwrap());
        assert_eq!(policy.check(false), Err(PolicyError::AnyOrigin));
        assert_eq!(policy.check(true), Ok(()));
        assert_eq!(Policy::default().check(false), Ok(()));
    }
}
