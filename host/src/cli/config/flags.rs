//! Options of the program that set keys of the configuration.

use std::path::{Path, PathBuf};

use clap::Command;
use serde_json::Value;

use super::keys::keys;
use super::layers::{Layers, Origin};

/// Options that set a key, and which.
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
    ("component", "component.file"),
    ("no-cache", "component.no_cache"),
];

/// What the options say.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Flags {
    file: Option<PathBuf>,
    given: Vec<Given>,
}

#[derive(Clone, Debug)]
enum Given {
    /// The option of this name, with its value.
    Value(&'static str, Value),
    /// `--set`.
    Set(String),
}

impl Flags {
    /// Of a program that reads this file.
    pub(in crate::cli) fn of_file(file: Option<PathBuf>) -> Self {
        Self {
            file,
            given: Vec::new(),
        }
    }

    /// The option of this name, if it is there.
    pub(in crate::cli) fn text(&mut self, flag: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.given.push(Given::Value(flag, text.into()));
        }
    }

    /// The option of this name, as often as it is there.
    pub(in crate::cli) fn list(&mut self, flag: &'static str, elements: &[String]) {
        if !elements.is_empty() {
            self.given.push(Given::Value(flag, elements.into()));
        }
    }

    /// The option of this name, which has no value.
    pub(in crate::cli) fn switch(&mut self, flag: &'static str, is_there: bool) {
        if is_there {
            self.given.push(Given::Value(flag, true.into()));
        }
    }

    /// `--set`, as often as it is there.
    pub(in crate::cli) fn set(&mut self, pairs: &[String]) {
        self.given.extend(pairs.iter().cloned().map(Given::Set));
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Options of their own win over `--set`.
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
            let problem = format!("takes KEY=VALUE, and not '{pair}'");
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

/// Has the help of each option that sets a key name the variable that does as well.
pub(in crate::cli) fn name_variables(command: Command) -> Command {
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
    fn options_set_keys_that_there_are() {
        for (flag, path) in FLAGS {
            assert!(keys().get(path).is_some(), "--{flag} sets {path}");
        }
    }
}
