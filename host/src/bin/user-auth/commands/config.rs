//! The command `user-auth config`.

mod check;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tracing::Level;

use crate::commands::serve::Listen;
use crate::config::error::Origin;
use crate::config::mask::masked;
use crate::config::registry::{ConfigOption, keys, schema};
use crate::config::secrets::SECRETS;
use crate::config::sources::put;
use crate::config::{Config, value_at};
use crate::failure::Failure;
use crate::options::{Options, OutputOptions};
use crate::output::table::wrapped;
use crate::output::{self, Screen};
use crate::runtime::{self, configure};

#[derive(Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Show every key with its value and origin. Readable on a terminal; JSON when
    /// piped, which can serve as a file to start from. Secrets are masked.
    Show(Box<Show>),
    /// Check a file as a start of the server would, without starting. Exit codes: 0
    /// valid, 2 invalid, 3 the server could not start with it.
    Check {
        /// The file, in JSON or TOML
        file: PathBuf,
    },
    /// Print the JSON Schema (2020-12) of the file.
    Schema,
}

#[derive(Args)]
struct Show {
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    listen: Listen,

    #[command(flatten)]
    options: Options,
}

impl ConfigCommand {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            What::Show(show) => show.run(),
            What::Check { file } => runtime::build()?.block_on(check::run(file)),
            What::Schema => {
                output::print(&format!("{:#}\n", schema()))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Show {
    fn run(self) -> Result<ExitCode, Failure> {
        let mut flags = self.options.flags();
        self.listen.add_to(&mut flags);
        let config = configure(&flags, Level::WARN)?;
        let screen = Screen::of_output();
        let text = if self.json || self.output.is_json(screen) {
            output::json_line(&format!("{:#}", for_programs(&config)))
        } else {
            for_people(&config, screen)
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns a line for each key. Lines of whole words fit a narrow terminal, where columns
/// for long keys, values and variables would break them.
fn for_people(config: &Config, screen: Screen) -> String {
    let values = config.values();
    keys()
        .all
        .iter()
        .map(|key| {
            let value = match masked(key, value_at(&values, &key.path)) {
                Value::Null => unset(key, &values),
                Value::String(text) => text,
                other => other.to_string(),
            };
            line(&key.path, &value, &config.origin(&key.path))
        })
        .chain(secrets().map(|name| format!("{name} = ***")))
        .map(|line| wrapped(&output::printable(&line), screen.width))
        .collect()
}

/// Returns what is shown for a key without a value: the default that it has once its
/// section is set, if there is one.
fn unset(key: &ConfigOption, values: &Value) -> String {
    match (&key.default, absent_section(&key.path, values)) {
        (Some(default), Some(section)) => format!("- ({default} if {section} is set)"),
        _ => "-".to_owned(),
    }
}

/// Returns the outermost section of a key that is not set.
fn absent_section<'a>(path: &'a str, values: &Value) -> Option<&'a str> {
    let mut sections = path.match_indices('.').map(|(end, _)| &path[..end]);
    sections.find(|section| value_at(values, section).is_null())
}

/// Returns the line of a key, with the source of its value unless that is the default.
fn line(path: &str, value: &str, origin: &Origin) -> String {
    match origin {
        Origin::Default => format!("{path} = {value}"),
        origin => format!("{path} = {value} ({origin})"),
    }
}

/// Returns the values as in a file, and where each comes from under `$sources`, which a
/// file may contain.
fn for_programs(config: &Config) -> Value {
    let mut shown = config.values();
    let mut sources = Map::new();
    for key in &keys().all {
        let value = masked(key, value_at(&shown, &key.path));
        if !value.is_null() {
            put(&mut shown, &key.path, value);
        }
        sources.insert(key.path.clone(), source(&config.origin(&key.path)));
    }
    for name in secrets() {
        sources.insert(
            name.to_owned(),
            json!({"layer": "environment", "secret": true}),
        );
    }
    shown["$sources"] = sources.into();
    shown
}

fn source(origin: &Origin) -> Value {
    match origin {
        Origin::Default => json!({"layer": "default"}),
        Origin::File(file, at) => {
            json!({"layer": "file", "file": file, "line": at.map(|at| at.line)})
        }
        Origin::Environment(name) => json!({"layer": "environment", "variable": name}),
        Origin::Flag(name) => json!({"layer": "option", "option": name}),
    }
}

/// Returns the names of the secrets that are set.
fn secrets() -> impl Iterator<Item = &'static str> {
    let is_set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    SECRETS.iter().filter(is_set).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_is_not_set_shows_the_defaults_that_it_would_have() {
        let values = Config::default().values();
        for (path, shown) in [
            (
                "discovery.consul.interval_seconds",
                "- (10 if discovery.consul is set)",
            ),
            (
                "security.rate_limiting.verification.burst_size",
                "- (200 if security.rate_limiting is set)",
            ),
            ("discovery.consul.address", "-"),
            ("logging.level", "-"),
        ] {
            let key = keys().get(path).unwrap();
            assert_eq!(unset(key, &values), shown, "{path}");
        }
    }

    #[test]
    fn only_lines_of_set_keys_name_their_source() {
        let line = |origin| line("server.port", "8080", &origin);
        assert_eq!(line(Origin::Default), "server.port = 8080");
        let option = Origin::Flag("--port".into());
        assert_eq!(line(option), "server.port = 8080 (option --port)");
    }
}
