//! `mcp`: what MCP clients get to see. The component has the last word on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What MCP clients get to see.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Mcp {
    /// How a failed operation is answered to clients before 2026-07-28.
    pub(in crate::cli) tool_errors: ToolErrors,
}

/// How a failed operation is answered to clients before 2026-07-28.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum ToolErrors {
    /// As a result of its tool where the client has named a version from 2025-03-26 on,
    /// and as an error of JSON-RPC otherwise.
    #[default]
    Auto,
    /// As a result of its tool, with `isError`.
    Result,
    /// As an error of JSON-RPC.
    Error,
}
