//! Command-line options that set keys of the configuration.

use std::path::{Path, PathBuf};

use clap::Command;
use serde_json::Value;

use crate::config::error::Origin;
use crate::config::registry::keys;
use crate::config::sources::Layers;

/// The options that set a key, with the key.
const FLAGS: &[(&str, &str)] = &[
    ("listen", "server.listen"),
    ("allowed-host", "server.allowed_hosts"),
    ("allowed-origin", "security.cors.allowed_origins"),
    ("store", "store.url"),
    ("master-key-file", "master_key.file"),
    ("audit-log", "audit.file"),
    ("consul", "discovery.consul.url"),
    ("delivery", "delivery.method"),
    ("mail-from", "delivery.mail_from"),
    ("smtp-password-file", "delivery.smtp_password_file"),
    ("webhook-secret-file", "delivery.webhook_secret_file"),
    ("toolsets", "mcp.toolsets"),
    ("read-only", "mcp.read_only"),
    ("component", "component.file"),
    ("no-cache", "component.no_cache"),
];

/// The values of the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    file: Option<PathBuf>,
    given: Vec<Given>,
}

#[derive(Clone, Debug)]
enum Given {
    /// An option of this name, with its value.
    Value(&'static str, Value),
    /// The option `--set`.
    Set(String),
}

impl Flags {
    /// Returns the options of a program that reads this file.
    pub(crate) fn of_file(file: Option<PathBuf>) -> Self {
        Self {
            file,
            given: Vec::new(),
        }
    }

    /// Adds the option of this name, if it is given.
    pub(crate) fn text(&mut self, flag: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.given.push(Given::Value(flag, text.into()));
        }
    }

    /// Adds the option of this name, which may be given several times.
    pub(crate) fn list(&mut self, flag: &'static str, elements: &[String]) {
        if !elements.is_empty() {
            self.given.push(Given::Value(flag, elements.into()));
        }
    }

    /// Adds the option of this name, which has no value.
    pub(crate) fn switch(&mut self, flag: &'static str, is_there: bool) {
        if is_there {
            self.given.push(Given::Value(flag, true.into()));
        }
    }

    /// Adds `--set`, which may be given several times.
    pub(crate) fn set(&mut self, pairs: &[String]) {
        self.given.extend(pairs.iter().cloned().map(Given::Set));
    }

    /// Sets that there are all operations, for commands of the operator, which have nothing to
    /// do with the toolsets of MCP clients.
    pub(crate) fn all_operations(&mut self) {
        self.list("toolsets", &["all".to_owned()]);
        self.given.push(Given::Value("read-only", false.into()));
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Adds the options to the layers; specific options override `--set`.
    pub(super) fn add_to(&self, layers: &mut Layers) {
        for given in &self.given {
            if let Given::Set(pair) = given {
                set(layers, pair);
            }
        }
        for given in &self.given {
            if let Given::Value(flag, value) = given
                && let Some(path) = path_of(flag)
            {
                layers.add(path, value.clone(), Origin::Flag(format!("--{flag}")));
            }
        }
    }
}

fn set(layers: &mut Layers, pair: &str) {
    match pair.split_once('=') {
        Some((path, text)) => layers.add_flag(path.trim(), &format!("--set {path}"), text),
        None => {
            let problem = format!("needs KEY=VALUE, not '{pair}'");
            let origin = Origin::Flag("--set".to_owned());
            layers.mistakes.add(&origin, "", problem);
        }
    }
}

fn path_of(flag: &str) -> Option<&'static str> {
    FLAGS
        .iter()
        .find(|(known, _)| *known == flag)
        .map(|(_, path)| *path)
}

/// Adds to the help of each option that sets a key the name of the environment variable
/// for it.
pub(crate) fn name_variables(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let path = argument.get_long().and_then(path_of);
            let Some(key) = path.and_then(|path| keys().get(path)) else {
                return argument;
            };
            let help = argument.get_help().map(ToString::to_string);
            argument.help(format!("{} [env: {}]", help.unwrap_or_default(), key.env))
        })
        .mut_subcommands(name_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_set_existing_keys() {
        for (flag, path) in FLAGS {
            assert!(keys().get(path).is_some(), "--{flag} sets {path}");
        }
    }
}
