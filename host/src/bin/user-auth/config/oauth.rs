//! `oauth`: the authorization server. The component validates the values.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use user_auth_host::Logo;
use user_auth_host::files::{Guard, read};

use crate::failure::Failure;

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
    /// Whether people may create accounts on a page. Default: `on`, or `off` if
    /// `security.authentication.type` keeps callers without a credential from registering.
    pub(crate) sign_up: Option<SignUp>,
    /// The colour of buttons and links on the pages, as `#rrggbb`. White text on it must be
    /// legible (a contrast of at least 4.5:1). Default: blue.
    #[schemars(regex(pattern = "^#[0-9A-Fa-f]{6}$"))]
    pub(crate) accent_color: Option<String>,
    /// The file with the logo on the pages: PNG, WebP or JPEG, at most 64 KiB. It is read at
    /// the start. Default: none.
    pub(crate) logo: Option<PathBuf>,
    /// Whether clients may identify themselves by the URL of a metadata document, which the
    /// server then fetches.
    pub(crate) client_id_metadata_documents: ClientDocuments,
    /// The operations that an agent can only run once its user has approved the very call on a
    /// page. The name of a permission stands for all operations that require it. An empty list
    /// switches approvals off. Default: `delete_user`, `import_users`, `rotate_signing_key`,
    /// `assign_role`, `define_role` and `update_client`.
    pub(crate) approvals: Vec<String>,
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

impl OAuth {
    /// Reads the logo, if there is one.
    pub(crate) fn logo(&self) -> Result<Option<Logo>, Failure> {
        let Some(path) = &self.logo else {
            return Ok(None);
        };
        let bytes = read(path, Guard::Trusted, Logo::MAX_BYTES as u64)
            .map_err(|error| Failure::start(format!("the logo {error}")))?;
        let logo = Logo::new(bytes.to_vec())
            .map_err(|error| Failure::start(format!("the logo {} {error}", path.display())))?;
        Ok(Some(logo))
    }
}

/// Whether people may create accounts on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SignUp {
    /// Everyone may.
    On,
    /// There is no such page.
    Off,
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            enabled: false,
            service_name: "UserAuth".to_owned(),
            registration: ClientRegistration::default(),
            sign_up: None,
            accent_color: None,
            logo: None,
            client_id_metadata_documents: ClientDocuments::default(),
            approvals: [
                "delete_user",
                "import_users",
                "rotate_signing_key",
                "assign_role",
                "define_role",
                "update_client",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}
