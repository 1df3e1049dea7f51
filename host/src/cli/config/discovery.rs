//! `discovery`: where the server makes itself known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the server makes itself known.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Discovery {
    /// The Consul agent that the server registers with; left out: none.
    pub(in crate::cli) consul: Option<Consul>,
}

/// A Consul agent, and what it is told.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Consul {
    /// Where the agent is, such as `http://127.0.0.1:8500`.
    pub(in crate::cli) url: String,
    /// The address that clients reach this server by; left out: the one that it
    /// listens on.
    #[serde(default)]
    pub(in crate::cli) address: Option<String>,
}
