//! The rules of a server for its callers.

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;

use super::security::client_ip::TrustedProxies;
use super::security::origin_check::HostPolicy;

/// The rules of a server for its callers. The default only requires that requests name a
/// host, and those of web pages an origin, of this machine.
///
/// The component is what requires an API key:
/// [`PluginBuilder::require_api_key`](crate::PluginBuilder::require_api_key).
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The hosts and origins that requests may name.
    pub allowed: HostPolicy,
    /// Whether browsers are told that web pages of those origins may call (the
    /// CORS protocol of the Fetch standard).
    pub cors: bool,
    /// The header that holds the API key of a caller.
    pub key_header: KeyHeader,
    /// The rate limits of one caller, or `None` for no limits.
    pub rates: Option<Rates>,
    /// The proxies that are trusted to name the client of a request that they forward.
    pub proxies: TrustedProxies,
    /// Whether the listener speaks TLS. If it does, responses tell browsers to insist on
    /// it (RFC 6797), and the server card names an `https` address.
    pub https: bool,
}

/// The rate limits of one caller. A caller is an API key that has been verified, or else
/// a source: an IPv4 address, or an IPv6 /64, which is what one subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// For all requests that no other rate counts, those for unknown paths included.
    pub calls: Rate,
    /// For requests of known API keys that verify tokens and permissions: by the operations
    /// `verify_token`, `introspect_token` and `check_permission`, `/introspect` or
    /// `/verify`. Services send one for each of their own requests. A key is known once a
    /// request that requires one has succeeded with it. Such requests without a known key
    /// count as calls of their source, but those to `/verify`, which requires no key, do
    /// not count.
    pub verifications: Rate,
}

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of requests per minute that are allowed in the long run.
    pub requests_per_minute: NonZeroU32,
    /// Number of requests that are allowed at once, after a pause.
    pub burst_size: NonZeroU32,
}

/// The name of the header that holds an API key; `X-API-Key` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHeader {
    name: HeaderName,
    /// The name as it was configured, for messages to people.
    shown: String,
}

/// The reason why a policy is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The name is not a header name, or the header has another use.
    #[error("'{0}' cannot be the header of API keys: write a name of its own, such as X-API-Key")]
    KeyHeader(String),
    /// Every web page may call, and no API key is required.
    #[error(
        "the origin * lets all web pages call, which is allowed only if API keys are required: \
         name the origins, or set security.authentication.type to \"api_key\""
    )]
    AnyOrigin,
}

impl Policy {
    /// Rejects a policy that would leave a server open to every web page that a user
    /// on its network visits.
    pub fn check(&self, requires_api_key: bool) -> Result<(), PolicyError> {
        if self.allowed.admits_all_pages() && !requires_api_key {
            Err(PolicyError::AnyOrigin)
        } else {
            Ok(())
        }
    }
}

impl From<HostPolicy> for Policy {
    fn from(allowed: HostPolicy) -> Self {
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

    /// Returns the key in these headers if there is exactly one: in its own header, as a
    /// bearer token, the only credential that many clients can send, or as the password of
    /// `Basic`, the only one of many libraries for OAuth.
    pub(super) fn key<'a>(&self, headers: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
        let only = |name: &HeaderName| {
            let mut values = headers.get_all(name).iter();
            let value = values.next();
            match values.next() {
                None => Ok(value.map(HeaderValue::as_bytes)),
                Some(_) => Err(()),
            }
        };
        let own = only(&self.name).ok()?.map(Cow::Borrowed);
        let authorization = only(&AUTHORIZATION).ok()?;
        let other = authorization.and_then(|value| {
            let bearer = bearer_key(value).map(Cow::Borrowed);
            bearer.or_else(|| basic_key(value).map(Cow::Owned))
        });
        match (own, other) {
            (Some(own), Some(other)) => (own == other).then_some(own),
            (own, other) => own.or(other),
        }
    }

    /// The name as it was configured, for messages to people.
    pub(super) fn as_str(&self) -> &str {
        &self.shown
    }
}

/// Prefix of every key. No access token begins with it.
const KEY_PREFIX: &[u8] = b"uak_";

/// Returns the API key that is sent as a bearer token (RFC 6750 section 2.1).
fn bearer_key(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"bearer ".len())?;
    let token = token.trim_ascii_start();
    let is_key = scheme.eq_ignore_ascii_case(b"bearer ") && token.starts_with(KEY_PREFIX);
    is_key.then_some(token)
}

/// Returns the API key that is the password of `Basic` (RFC 7617), which OAuth encodes as in
/// forms (RFC 6749 section 2.3.1). It counts as the same key however it is written.
fn basic_key(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, coded) = authorization.split_at_checked(b"basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = STANDARD.decode(coded.trim_ascii()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let key: Vec<u8> = percent_decode(&pair[colon + 1..]).collect();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    (key.starts_with(KEY_PREFIX) && key.iter().all(is_plain)).then_some(key)
}

/// Headers with another use, which may not hold a key.
const TAKEN: [&str; 13] = [
    "baggage",
    "connection",
    "content-encoding",
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
            ["mcp-", "x-mcp-", "x-forwarded-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
                || TAKEN.contains(&name)
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
    fn a_header_with_another_use_cannot_be_the_header_of_keys() {
        for taken in [
            "Authorization",
            "host",
            "Mcp-Method",
            "X-MCP-Toolsets",
            "X API Key",
            "",
        ] {
            assert!(taken.parse::<KeyHeader>().is_err(), "{taken}");
        }
        let header: KeyHeader = "X-Team-Key".parse().unwrap();
        assert_eq!(header.as_str(), "X-Team-Key");
    }

    #[test]
    fn a_key_is_in_its_own_header_or_a_bearer_token() {
        let key = |own: &[&str], authorization: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in own {
                headers.append("x-api-key", value.parse().unwrap());
            }
            for value in authorization {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            let key = KeyHeader::default().key(&headers);
            key.map(|key| String::from_utf8(key.into_owned()).unwrap())
        };
        assert_eq!(key(&["a"], &[]).unwrap(), "a");
        assert_eq!(key(&[], &["Bearer uak_a"]).unwrap(), "uak_a");
        assert_eq!(key(&[], &["bEARER   uak_a"]).unwrap(), "uak_a");
        assert_eq!(key(&["uak_a"], &["Bearer uak_a"]).unwrap(), "uak_a");
        assert_eq!(key(&["uak_a"], &["Bearer a.b.c"]).unwrap(), "uak_a");
        let basic = |text: &str| format!("bASIC {}", STANDARD.encode(text));
        assert_eq!(key(&[], &[&basic("x:uak_a-B_9")]).unwrap(), "uak_a-B_9");
        assert_eq!(key(&["uak_a"], &[&basic(":uak_a")]).unwrap(), "uak_a");
        assert_eq!(key(&[], &[&basic("x:u%61k%5Fa%5f")]).unwrap(), "uak_a_");
        assert_eq!(key(&["uak_b"], &[&basic("x:uak_a")]), None);
        for other in [
            "uak_a",
            "uak_a:x",
            "x:y",
            "x:uak_%2b",
            "x:uak_a+",
            "x:uak_a:b",
        ] {
            assert_eq!(key(&[], &[&basic(other)]), None, "{other}");
        }
        for (own, authorization) in [
            (&[][..], &[][..]),
            (&[], &["Bearer a.b.c"]),
            (&[], &["Basic uak_a"]),
            (&[], &["Basic"]),
            (&[], &["uak_a"]),
            (&[], &["Bearer", "Bearer uak_a"]),
            (&["uak_a", "uak_a"], &[]),
            (&["uak_a", "uak_a"], &["Bearer uak_a"]),
            (&["uak_a"], &["Bearer uak_b"]),
            (&["uak_a"], &["Bearer x", "Bearer y"]),
        ] {
            assert_eq!(key(own, authorization), None, "{own:?} {authorization:?}");
        }
    }

    #[test]
    fn the_origin_of_all_pages_is_rejected_unless_keys_are_required() {
        let policy = Policy::from(HostPolicy::default().origin("*").unwrap());
        assert_eq!(policy.check(false), Err(PolicyError::AnyOrigin));
        assert_eq!(policy.check(true), Ok(()));
        assert_eq!(Policy::default().check(false), Ok(()));
    }
}
