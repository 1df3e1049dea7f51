//! The configuration file, JSON or TOML: what an operator writes down instead of
//! saying it at every start.
//!
//! One section is one file below; a section that is left out has its defaults.

mod audit;
mod discovery;
mod logging;
mod security;

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use audit::Audit;
pub(super) use discovery::{Consul, Discovery};
pub(super) use logging::Logging;
pub(super) use security::{Authentication, AuthenticationType, Cors, RateLimiting, Security};

use super::Failure;

/// What the program is configured with.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Who may call over HTTP, how often, and from which pages.
    pub(super) security: Security,
    /// Where audit lines go, besides the store.
    pub(super) audit: Audit,
    /// Where the server makes itself known.
    pub(super) discovery: Discovery,
    /// What is logged and traced.
    pub(super) logging: Logging,
}

impl Config {
    /// Reads the file; without one all is as it is by default.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let problem = |reason: &dyn std::fmt::Display| {
            Failure::start(format!("the configuration {}: {reason}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| problem(&error))?;
        match path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            true => toml::from_str(&text).map_err(|error| problem(&error)),
            false => serde_json::from_str(&text).map_err(|error| problem(&error)),
        }
    }
}
