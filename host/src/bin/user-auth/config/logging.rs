//! `logging`: logs and traces.

use std::env;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::failure::Failure;

/// Logs and traces.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logging {
    /// The minimum severity of logged events. `RUST_LOG`, which sets it per module,
    /// overrides it. Default: `info` for a server, otherwise `warn`.
    #[schemars(extend("x-env" = "LOG_LEVEL"))]
    pub(crate) level: Option<Level>,
    /// The format of log lines.
    pub(crate) format: Format,
    /// The destination of spans: the base URL of an OpenTelemetry collector that
    /// accepts OTLP over HTTP, such as `http://127.0.0.1:4318`. Default: none.
    #[schemars(extend("x-secret" = true))]
    pub(crate) otlp_endpoint: Option<String>,
}

/// The severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The finest details.
    Trace,
    /// Information for debugging.
    Debug,
    /// Normal events.
    Info,
    /// Events that need attention.
    #[serde(alias = "warning")]
    Warn,
    /// Failures.
    Error,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object per line.
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
    /// Returns the URL that spans are posted to, from OpenTelemetry's own variables or
    /// else the configuration.
    pub(crate) fn traces_url(&self) -> Result<Option<Url>, Failure> {
        let named = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let parse = |text: String, example: &str| {
            text.parse::<Url>().map_err(|error| {
                Failure::start(format!(
                    "the OpenTelemetry endpoint cannot be used: {error}; expected a URL such as \
                     {example}"
                ))
            })
        };
        if let Some(url) = named("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return parse(url, "http://127.0.0.1:4318/v1/traces").map(Some);
        }
        let base = named("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| self.otlp_endpoint.clone());
        base.map(|base| {
            let url = format!("{}/v1/traces", base.trim_end_matches('/'));
            parse(url, "http://127.0.0.1:4318")
        })
        .transpose()
    }
}
