//! `logging`: what is logged and traced.

use std::env;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::Failure;

/// What is logged and traced.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Logging {
    /// What is logged: this and what is graver. `RUST_LOG`, which says it by module,
    /// wins over it. Left out: `info` for a server, else `warn`.
    #[schemars(extend("x-env" = "LOG_LEVEL"))]
    pub(in crate::cli) level: Option<Level>,
    /// How a line of the log is written.
    pub(in crate::cli) format: Format,
    /// Where spans are sent to: the base URL of an OpenTelemetry collector that
    /// takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Left out: nowhere.
    #[schemars(extend("x-secret" = true))]
    pub(in crate::cli) otlp_endpoint: Option<String>,
}

/// How grave something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Level {
    /// The last details.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happens.
    Info,
    /// What needs attention.
    #[serde(alias = "warning")]
    Warn,
    /// What has failed.
    Error,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Text.
    Text,
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

impl Logging {
    /// What spans are posted to: what OpenTelemetry's own variables name, or else the
    /// configuration.
    pub(in crate::cli) fn traces_url(&self) -> Result<Option<Url>, Failure> {
        let named = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let parse = |text: String| {
            text.parse::<Url>().map_err(|error| {
                Failure::start(format!(
                    "the OpenTelemetry endpoint cannot be used: {error}"
                ))
            })
        };
        if let Some(url) = named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return parse(url).map(Some);
        }
        let base = named("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| self.otlp_endpoint.clone());
        base.map(|base| parse(format!("{}/v1/traces", base.trim_end_matches('/'))))
            .transpose()
    }
}
