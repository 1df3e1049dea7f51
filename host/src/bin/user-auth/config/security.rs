//! `security`: who may call over HTTP, how often, and from which pages.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use user_auth_host::http;

/// Who may call over HTTP, how often, and from which pages.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Security {
    /// How callers authenticate.
    pub(crate) authentication: Authentication,
    /// How often one caller may call. There is no limit if it is left out; an empty one
    /// has the defaults.
    pub(crate) rate_limiting: Option<RateLimiting>,
    /// Which web pages may call.
    pub(crate) cors: Cors,
    /// Proxies that are trusted to name the client of a request that they forward:
    /// addresses, or networks such as `10.0.0.0/8`.
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name the client.
    pub(crate) forwarded_header: ForwardedHeader,
}

/// How callers authenticate.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Authentication {
    /// Whether callers need an API key, or an access token.
    #[serde(rename = "type")]
    pub(crate) kind: AuthenticationType,
    /// The header that holds the key.
    pub(crate) header: String,
}

/// Whether callers need an API key, or an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthenticationType {
    /// Anyone may call.
    #[default]
    None,
    /// Callers send an API key.
    ApiKey,
    /// Callers send an access token, which clients get when their users sign in by browser,
    /// or an API key. It needs `oauth.enabled`.
    #[serde(rename = "oauth")]
    OAuth,
}

/// The header in which proxies name the client. They must set this one themselves; the
/// other one is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedHeader {
    /// `X-Forwarded-For`
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// How often one caller may call: a caller is an API key, or else a source address.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimiting {
    /// Number of requests per minute that are allowed in the long run.
    pub(crate) requests_per_minute: NonZeroU32,
    /// Number of requests that are allowed at once. 60 suits MCP clients, each of which
    /// sends half a dozen before its user asks for anything.
    pub(crate) burst_size: NonZeroU32,
    /// How often one API key may verify the credentials of others.
    pub(crate) verification: Verification,
}

/// How often one API key may verify the credentials of others, besides its other
/// requests: by `verify_token`, `introspect_token`, `check_permission` and `/verify`.
/// Services do it for each of their own requests. Without a key it counts as any other
/// request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Verification {
    /// Number of verifications per minute that are allowed in the long run.
    pub(crate) requests_per_minute: NonZeroU32,
    /// Number of verifications that are allowed at once.
    pub(crate) burst_size: NonZeroU32,
}

/// Which web pages may call (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cors {
    /// Whether responses tell browsers that pages of other origins may call. The default
    /// is `true` if `allowed_origins` names any.
    enabled: Option<bool>,
    /// The origins whose pages may call, such as `https://app.example.com` or
    /// `https://*.example.com`.
    #[schemars(extend("x-env" = "USER_AUTH_ALLOWED_ORIGINS"))]
    allowed_origins: Vec<String>,
}

impl Cors {
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.unwrap_or(!self.allowed_origins.is_empty())
    }

    /// The origins whose pages may call.
    pub(crate) fn origins(&self) -> &[String] {
        if self.is_enabled() {
            &self.allowed_origins
        } else {
            &[]
        }
    }
}

impl From<ForwardedHeader> for http::ForwardedHeader {
    fn from(header: ForwardedHeader) -> Self {
        match header {
            ForwardedHeader::XForwardedFor => Self::XForwardedFor,
            ForwardedHeader::Forwarded => Self::Forwarded,
        }
    }
}

/// Reads networks. An address is the network of that address alone.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| {
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                let expected = "expected an address, or a network such as 10.0.0.0/8";
                D::Error::custom(format!("'{text}': {expected}"))
            })
    };
    texts.iter().map(network).collect()
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            kind: AuthenticationType::None,
            header: "X-API-Key".to_owned(),
        }
    }
}

impl Default for RateLimiting {
    fn default() -> Self {
        Self {
            requests_per_minute: const { NonZeroU32::new(100).unwrap() },
            burst_size: const { NonZeroU32::new(10).unwrap() },
            verification: Verification::default(),
        }
    }
}

impl Default for Verification {
    /// A processor verifies more than a thousand tokens per second. A service may verify a
    /// hundred, so that a few services that ask without a pause leave room for logins.
    fn default() -> Self {
        Self {
            requests_per_minute: const { NonZeroU32::new(6_000).unwrap() },
            burst_size: const { NonZeroU32::new(200).unwrap() },
        }
    }
}

impl From<&RateLimiting> for http::Rates {
    fn from(limiting: &RateLimiting) -> Self {
        let verification = &limiting.verification;
        Self {
            calls: http::Rate {
                requests_per_minute: limiting.requests_per_minute,
                burst_size: limiting.burst_size,
            },
            verifications: http::Rate {
                requests_per_minute: verification.requests_per_minute,
                burst_size: verification.burst_size,
            },
        }
    }
}
