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
    /// Whether clients may identify themselves by the URL of a metadata document, which the
    /// server then fetches.
    pub(crate) client_id_metadata_documents: ClientDocuments,
}

/// Whether clients may identify themselves by the URL of a metadata document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientDocuments {
    /// By a document on the public web.
    #[default]
    Public,
    /// Also by one at `https://localhost`, for the development of clients; `server.public_url`
    /// must be `http` on this machine.
    Loopback,
    /// They may not.
    Off,
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
            client_id_metadata_documents: ClientDocuments::default(),
        }
    }
}
