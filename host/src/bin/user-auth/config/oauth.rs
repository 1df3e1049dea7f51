//! `oauth`: the authorization server. The component validates the values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The authorization server, with which users sign in by browser.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OAuth {
    /// Enables the authorization server. Requires `server.public_url`.
    pub(crate) enabled: bool,
    /// The name of the service on its pages.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) service_name: String,
    /// Whether clients may register themselves (RFC 7591), which most clients of MCP do.
    pub(crate) registration: ClientRegistration,
}

/// Whether clients may register themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientRegistration {
    /// Every client may.
    #[default]
    Open,
    /// Administrators register all clients.
    Off,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            enabled: false,
            service_name: "UserAuth".to_owned(),
            registration: ClientRegistration::default(),
        }
    }
}
