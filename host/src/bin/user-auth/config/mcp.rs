//! `mcp`: the presentation to MCP clients. The component validates the values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The presentation to MCP clients.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mcp {
    /// The toolsets that clients get: `auth`, `account`, `tokens`, `users`, `roles`, `keys`,
    /// `clients`, `audit`, `service`, or `all`. If it is set, programs that embed the component
    /// get no others by `invoke` either.
    pub(crate) toolsets: Vec<String>,
    /// Whether clients get only tools that change nothing.
    pub(crate) read_only: bool,
    /// Whether clients get tools that take a password, which then passes through a model.
    pub(crate) password_tools: PasswordTools,
    /// How a failed operation is reported to clients of versions before 2026-07-28.
    pub(crate) tool_errors: ToolErrors,
    /// Whether the list of tools has the schemas of their outputs, which make it half as long
    /// again. Clients pass the list to a model.
    pub(crate) output_schemas: bool,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            toolsets: ["auth", "account", "tokens"].map(str::to_owned).to_vec(),
            read_only: false,
            password_tools: PasswordTools::default(),
            tool_errors: ToolErrors::default(),
            output_schemas: false,
        }
    }
}

/// Whether clients get tools that take a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PasswordTools {
    /// All clients but those that can open the sign-in page for their user, if
    /// `oauth.enabled`.
    #[default]
    Auto,
    /// All clients.
    On,
    /// No client.
    Off,
}

/// How a failed operation is reported to clients of versions before 2026-07-28.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ToolErrors {
    /// As a tool result if the client has named a version from 2025-03-26 on, and as a
    /// JSON-RPC error otherwise.
    #[default]
    Auto,
    /// As a tool result with `isError`.
    Result,
    /// As a JSON-RPC error.
    Error,
}
