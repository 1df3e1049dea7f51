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
    /// How callers show who they are.
    pub(crate) authentication: Authentication,
    /// How often one caller may call; left out: as often as they like.
    pub(crate) rate_limiting: Option<RateLimiting>,
    /// Which web pages may call.
    pub(crate) cors: Cors,
    /// Proxies that are believed when they say whom they speak for: addresses, or
    /// networks such as `10.0.0.0/8`.
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name the client that they speak for.
    pub(crate) forwarded_header: ForwardedHeader,
}

/// How callers show who they are.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Authentication {
    /// Whether callers need an API key.
    #[serde(rename = "type")]
    pub(crate) kind: AuthenticationType,
    /// The header that holds the key.
    pub(crate) header: String,
}

/// Whether callers need an API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthenticationType {
    /// Anybody may call.
    #[default]
    None,
    /// Callers send an API key.
    ApiKey,
}

/// The header in which proxies say whom they speak for. They have to set that one
/// themselves, and the other is not looked at.
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
    /// So many requests a minute are let through.
    pub(crate) requests_per_minute: NonZeroU32,
    /// So many may come at once. MCP clients send half a dozen before they do anything:
    /// 60 lets them, the default is that of the integration guide.
    pub(crate) burst_size: NonZeroU32,
    /// How often one API key may verify what others show.
    pub(crate) verification: Verification,
}

/// How often one API key may verify what others show, beside its other requests: by
/// `verify_token`, `introspect_token`, `check_permission` and `/verify`. Services do it
/// for each of their own requests. Without a key it counts as any other request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Verification {
    /// So many verifications a minute are let through.
    pub(crate) requests_per_minute: NonZeroU32,
    /// So many may come at once.
    pub(crate) burst_size: NonZeroU32,
}

/// Which web pages may call (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cors {
    /// Whether browsers are told that pages of other origins may call. Left out:
    /// whether there are any.
    enabled: Option<bool>,
    /// Which origins, such as `https://app.example.com` or `https://*.example.com`.
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

/// Networks, and addresses as the smallest of them.
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
    /// A processor verifies more than a thousand tokens in a second: a service has a
    /// hundred, so that a few that ask without pause leave room for logins.
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
