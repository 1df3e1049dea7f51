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
    /// Where spans are sent to: the base URL of an OpenTelemetry collector that
    /// takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Left out: nowhere.
    pub(in crate::cli) otlp_endpoint: Option<String>,
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
