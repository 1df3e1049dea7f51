//! The configuration from a file, the environment and the options of the program. The
//! options of single commands are with the commands.
//!
//! Each section is one file below, which defines its keys: meaning, defaults and
//! bounds. The JSON Schema is derived from that, and the environment names and the
//! display are derived from the schema. A section or key that is left out has its
//! default.

mod audit;
mod component;
mod delivery;
mod discovery;
pub(crate) mod error;
mod file;
mod limits;
mod logging;
pub(crate) mod mask;
mod master_key;
mod mcp;
mod oauth;
mod overrides;
mod passwords;
pub(crate) mod registry;
pub(crate) mod secrets;
mod security;
mod server;
pub(crate) mod sources;
mod store;
mod throttling;
mod tokens;
mod value_type;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use user_auth_host::files::{Guard, read_text};
use user_auth_host::settings::SETTINGS;

pub(super) use self::overrides::{Flags, name_variables};
pub(super) use audit::Audit;
pub(super) use component::Component;
pub(super) use delivery::Delivery;
pub(super) use discovery::Discovery;
pub(super) use limits::Limits;
pub(super) use logging::{Format, Logging};
pub(super) use master_key::MasterKey;
pub(super) use mcp::Mcp;
pub(super) use oauth::OAuth;
pub(super) use passwords::Passwords;
pub(super) use security::Security;
pub(super) use server::Server;
pub(super) use store::Store;
pub(super) use throttling::Throttling;
pub(super) use tokens::Tokens;

use self::error::{Mistake, Origin};
use self::registry::{PREFIX, keys};
use self::security::AuthenticationType;
use self::sources::Layers;
use crate::failure::Failure;

/// The lists whose default is not empty. An empty one is passed on as `none`, which switches
/// approvals off, and is an error for toolsets.
const WITH_DEFAULT: [&str; 2] = ["mcp.toolsets", "oauth.approvals"];

/// The variables of the component that have no key, with the key that they follow from.
const DERIVED: &[(&str, &str)] = &[
    (REQUIRE_SIGN_IN, AUTHENTICATION),
    ("USER_AUTH_REQUIRE_API_KEY", AUTHENTICATION),
];
const REQUIRE_SIGN_IN: &str = "USER_AUTH_REQUIRE_SIGN_IN";
const AUTHENTICATION: &str = "security.authentication.type";

/// The configuration of the program. An environment variable overrides the file, and an
/// option overrides both.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// The listen address and the names of the server.
    pub(super) server: Server,
    /// Who may call over HTTP, how often, and from which web pages.
    pub(super) security: Security,
    /// The store of all records.
    pub(super) store: Store,
    /// The secret that all keys are derived from.
    pub(super) master_key: MasterKey,
    /// The component to run.
    pub(super) component: Component,
    /// Tokens, sessions and codes.
    pub(super) tokens: Tokens,
    /// The requirements for passwords, and how they are hashed.
    pub(super) passwords: Passwords,
    /// The number of guesses at passwords and codes. They are always counted: only the
    /// limits can be set.
    pub(super) throttling: Throttling,
    /// The presentation to MCP clients.
    pub(super) mcp: Mcp,
    /// The authorization server, with which users sign in by browser.
    pub(super) oauth: OAuth,
    /// The delivery of messages to account owners. Secrets are in the environment
    /// (`USER_AUTH_SMTP_PASSWORD`, `USER_AUTH_WEBHOOK_SECRET`) or in files of their
    /// own, never here.
    pub(super) delivery: Delivery,
    /// The destination of audit lines, in addition to the store.
    pub(super) audit: Audit,
    /// The service discovery in which the server registers.
    pub(super) discovery: Discovery,
    /// Logs and traces.
    pub(super) logging: Logging,
    /// The resources that a component, a client or a caller may use. Whole numbers,
    /// with the unit in the name: `_bytes`, `_kib` or `_ms`.
    pub(super) limits: Limits,
    /// Origins of the keys that are set.
    #[serde(skip)]
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// A configuration with its warnings.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) warnings: Vec<String>,
}

impl Config {
    /// Reads the file, if there is one, the environment of this process, and the
    /// options.
    pub(super) fn load(flags: &Flags) -> Result<Loaded, Failure> {
        let environment: Vec<_> = env::vars_os().collect();
        Self::from_layers(flags, &environment)
    }

    fn from_layers(flags: &Flags, environment: &[(OsString, OsString)]) -> Result<Loaded, Failure> {
        let mut layers = Layers::default();
        if let Some(path) = flags.file() {
            let text = read_text(path, Guard::Trusted)
                .map_err(|error| Failure::start(format!("the configuration {error}")))?;
            layers.add_file(path, &text);
        }
        let warnings = layers.add_environment(environment);
        flags.add_to(&mut layers);
        let config = layers.finish()?;
        Ok(Loaded { config, warnings })
    }

    /// Returns whether callers over HTTP need an API key.
    pub(super) fn requires_key(&self) -> bool {
        self.security.authentication.kind == AuthenticationType::ApiKey
    }

    /// Returns whether nobody can call over HTTP without a credential.
    pub(super) fn requires_credential(&self) -> bool {
        self.security.authentication.kind != AuthenticationType::None
    }

    /// Returns the settings for the component: only those that are set.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let requires_sign_in = self.security.authentication.kind == AuthenticationType::OAuth;
        let sign_in = requires_sign_in.then(|| (REQUIRE_SIGN_IN.to_owned(), "true".to_owned()));
        let values = self.values();
        SETTINGS
            .iter()
            .filter_map(|setting| keys().of_variable(setting.name))
            .filter(|key| self.origins.contains_key(&key.path))
            .map(|key| (key, value_at(&values, &key.path)))
            // An empty list counts as not set, unless that would mean more than nothing.
            .filter(|(key, value)| {
                WITH_DEFAULT.contains(&key.path.as_str())
                    || value.as_array().is_none_or(|names| !names.is_empty())
            })
            .map(|(key, value)| match value.as_array() {
                Some(names) if names.is_empty() => (key.env.clone(), "none".to_owned()),
                _ => (key.env.clone(), setting_text(value)),
            })
            .chain(sign_in)
            .collect()
    }

    /// Adds to the component's message about a setting where the setting comes from. The
    /// component knows only its variables, which the operator may never have set, so keys
    /// are named in their place.
    pub(super) fn explain(&self, problem: &str) -> String {
        let (name, rest) = problem.split_once(' ').unwrap_or((problem, ""));
        let Some(path) = path_of(name) else {
            return with_keys(problem);
        };
        let problem = match keys().of_variable(name) {
            Some(_) => with_keys(rest),
            None => with_keys(&self.with_own_value(path, rest)),
        };
        Mistake {
            origin: self.origin(path),
            path: path.to_owned(),
            problem,
        }
        .to_string()
    }

    /// Returns a problem of a derived variable, which is true or false, with the value of
    /// its key.
    fn with_own_value(&self, path: &str, problem: &str) -> String {
        let value = setting_text(value_at(&self.values(), path));
        let own = format!("is '{value}'; expected another value");
        problem.replacen("is 'true'; expected false", &own, 1)
    }

    /// Returns where the value of a key comes from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or_default()
    }

    /// Returns all values, nested as in a file.
    pub(crate) fn values(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

pub(crate) fn value_at<'a>(values: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(values, |value, name| &value[name])
}

/// Returns the path of the key that a variable of the component comes from.
fn path_of(variable: &str) -> Option<&'static str> {
    if let Some(key) = keys().of_variable(variable) {
        return Some(&key.path);
    }
    let derived = DERIVED.iter().find(|(name, _)| *name == variable);
    derived.map(|(_, path)| *path)
}

/// Returns a text with the paths of keys in the place of their variables.
fn with_keys(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(PREFIX) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !is_part(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        shown += before;
        shown += path_of(name).unwrap_or(name);
        rest = after;
    }
    shown + rest
}

/// Converts a value to the text that the component expects.
fn setting_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(setting_text).collect();
            elements.join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
