//! `logging`: what is logged and traced.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is logged and traced.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Logging {
    /// Where spans are sent to: the base URL of an OpenTelemetry collector that
    /// takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Left out: nowhere.
    pub(in crate::cli) otlp_endpoint: Option<String>,
}
