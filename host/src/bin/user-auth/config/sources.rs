//! Merges the sources of the configuration, from weak to strong: the file, the
//! environment, the options. A key that is set nowhere has its default.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::{Config, secrets};
use crate::config::error::{Mistakes, Origin};
use crate::config::file::{self, Node};
use crate::config::registry::{OptionRegistry, PREFIX, keys};
use crate::nearest::nearest;

/// An unknown variable with this prefix is an error, not a warning: its author believes
/// that the server is protected.
const SECURITY: &str = "USER_AUTH_SECURITY_";

/// The values that are set, with their origins.
#[derive(Debug, Default)]
pub(super) struct Layers {
    set: BTreeMap<String, (Value, Origin)>,
    /// The sections of the file, of which an empty one still has its defaults.
    sections: BTreeMap<String, Origin>,
    pub(super) mistakes: Mistakes,
}

impl Layers {
    /// Adds the values in a file.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) {
        let file = path.display().to_string();
        match file::parse(path, text) {
            Ok(Node::Table(entries)) => {
                // Entries for readers of the file, such as editors.
                let ours = entries
                    .into_iter()
                    .filter(|entry| !entry.name.starts_with('$'));
                self.add_table(&file, "", ours.collect());
            }
            Ok(Node::Value(_)) => {
                let origin = Origin::File(file, None);
                self.mistakes
                    .add(&origin, "", "it must be an object, `{…}`");
            }
            Err(error) => {
                let origin = Origin::File(file, Some(error.at));
                self.mistakes.add(&origin, "", error.reason);
            }
        }
    }

    fn add_table(&mut self, file: &str, section: &str, entries: Vec<file::Entry>) {
        for file::Entry { name, at, node } in entries {
            let origin = Origin::File(file.to_owned(), Some(at));
            let path = match section {
                "" => name.clone(),
                _ => format!("{section}.{name}"),
            };
            match node {
                Node::Table(entries) if keys().is_section(&path) => {
                    self.add_table(file, &path, entries);
                    self.sections.insert(path, origin);
                }
                // Equivalent to leaving the section out.
                Node::Value(Value::Null) if keys().is_section(&path) => {}
                Node::Value(_) if keys().is_section(&path) => {
                    self.mistakes
                        .add(&origin, &path, "must be an object with its own keys");
                }
                node => match keys().get(&path) {
                    Some(_) => self.add(&path, node.into_value(), origin),
                    None => self
                        .mistakes
                        .add(&origin, &path, unknown(keys(), section, &name)),
                },
            }
        }
    }

    /// Adds the values of environment variables, and returns warnings about unknown
    /// variables with our prefix.
    pub(super) fn add_environment(&mut self, environment: &[(OsString, OsString)]) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, text) in environment.iter().filter(|(_, text)| !text.is_empty()) {
            // Our variables are all valid Unicode.
            let Some(name) = name.to_str() else {
                continue;
            };
            if let Some(key) = keys().of_variable(name) {
                let origin = Origin::Environment(name.to_owned());
                match text.to_str() {
                    Some(text) => self.add(&key.path, key.kind.read(text), origin),
                    None => self
                        .mistakes
                        .add(&origin, &key.path, "is not valid Unicode"),
                }
            } else if name.starts_with(PREFIX) && !secrets::is_known(name) && !is_link(name, text) {
                let problem = unknown_variable(name);
                if name.starts_with(SECURITY) {
                    let origin = Origin::Environment(name.to_owned());
                    self.mistakes.add(&origin, "", problem);
                } else {
                    warnings.push(format!("the variable {name} {problem}"))
                }
            }
        }
        warnings
    }

    /// Adds the text of an option.
    pub(super) fn add_flag(&mut self, path: &str, flag: &str, text: &str) {
        let origin = Origin::Flag(flag.to_owned());
        match keys().get(path) {
            Some(key) => self.add(path, key.kind.read(text), origin),
            None if !path.is_empty() && keys().is_section(path) => {
                self.mistakes.add(&origin, path, no_key(keys(), path));
            }
            None => {
                let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
                let problem = unknown(keys(), section, name);
                self.mistakes.add(&origin, path, problem);
            }
        }
    }

    /// Adds the value of an option.
    pub(super) fn add(&mut self, path: &str, value: Value, origin: Origin) {
        let Some(key) = keys().get(path) else {
            return;
        };
        if value.is_null() && key.nullable {
            return;
        }
        if !key.kind.admits(&value) {
            let problem = format!("{}; expected {}", shown(&value, key.secret), key.kind);
            return self.mistakes.add(&origin, path, problem);
        }
        self.set.insert(path.to_owned(), (value, origin));
    }

    /// Returns the resulting configuration.
    pub(super) fn finish(mut self) -> Result<Config, Mistakes> {
        loop {
            let values = nested(&self.sections, &self.set);
            match serde_path_to_error::deserialize::<_, Config>(values) {
                Ok(mut config) if self.mistakes.0.is_empty() => {
                    let origins = self
                        .set
                        .into_iter()
                        .map(|(path, (_, origin))| (path, origin));
                    config.origins = origins.collect();
                    return Ok(config);
                }
                Ok(_) => return Err(self.mistakes),
                Err(error) => {
                    // The other values may have errors as well.
                    if !self.drop_mistake(&dotted(error.path()), &error.inner().to_string()) {
                        return Err(self.mistakes);
                    }
                }
            }
        }
    }

    /// Records an error at this path, and removes the value; returns false if there is
    /// none.
    fn drop_mistake(&mut self, path: &str, reason: &str) -> bool {
        let inside = format!("{path}.");
        let found = self
            .set
            .iter()
            .find(|(set, _)| *set == path || set.starts_with(&inside));
        let section = self.sections.remove(path);
        let Some((found, (value, origin))) = found.map(|(found, set)| (found.clone(), set.clone()))
        else {
            let problem = match missing_field(reason) {
                Some(name) => format!("requires `{path}.{name}`"),
                None => format!("cannot be used: {reason}"),
            };
            let is_known = section.is_some();
            self.mistakes
                .add(&section.unwrap_or_default(), path, problem);
            return is_known;
        };
        let problem = match keys().get(path) {
            // These types have better messages than the parser.
            Some(key)
                if !matches!(
                    key.kind,
                    crate::config::value_type::Kind::Text | crate::config::value_type::Kind::List
                ) =>
            {
                format!("{}; expected {}", shown(&value, key.secret), key.kind)
            }
            Some(key) => format!("{}; {reason}", shown(&value, key.secret)),
            None => match missing_field(reason) {
                Some(name) => format!("requires `{path}.{name}` as well"),
                None => format!("of {path}: {reason}"),
            },
        };
        self.mistakes.add(&origin, &found, problem);
        self.set
            .retain(|set, _| set != path && !set.starts_with(&inside));
        true
    }
}

/// Nests the sections and the values in them as objects.
fn nested(sections: &BTreeMap<String, Origin>, set: &BTreeMap<String, (Value, Origin)>) -> Value {
    let mut root = Value::Null;
    // A section precedes the sections in it.
    for path in sections.keys() {
        put(&mut root, path, Map::new().into());
    }
    for (path, (value, _)) in set {
        put(&mut root, path, value.clone());
    }
    match root {
        Value::Null => Map::new().into(),
        root => root,
    }
}

/// Sets the value at a path, creating the sections on the way.
pub(crate) fn put(root: &mut Value, path: &str, value: Value) {
    // Indexing `Null` by a name turns it into an object.
    *path.split('.').fold(root, |table, name| &mut table[name]) = value;
}

/// Returns the path as far as it consists of names.
fn dotted(path: &serde_path_to_error::Path) -> String {
    let names = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        _ => None,
    });
    names.collect::<Vec<_>>().join(".")
}

fn shown(value: &Value, is_secret: bool) -> String {
    match value {
        _ if is_secret => "cannot be used".to_owned(),
        Value::String(text) => format!("is '{text}'"),
        other => format!("is {other}"),
    }
}

/// Returns the name of the field that a section lacks according to the parser.
fn missing_field(reason: &str) -> Option<&str> {
    reason.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Returns the problem of a section that was set like a key.
fn no_key(keys: &OptionRegistry, section: &str) -> String {
    let names = quoted(&keys.names_in(section));
    format!("is a section; its keys are {names}")
}

fn unknown(keys: &OptionRegistry, section: &str, name: &str) -> String {
    let names = keys.names_in(section);
    if let Some(meant) = nearest(names.iter().copied(), name) {
        return format!("is not a known key; did you mean `{meant}`?");
    }
    if let Some(elsewhere) = keys.elsewhere(name) {
        return format!("is not a known key; did you mean `{elsewhere}`?");
    }
    format!("is not a known key; known keys: {}", quoted(&names))
}

fn quoted(names: &BTreeSet<&str>) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn unknown_variable(name: &str) -> String {
    // Some keys keep the variable names that they had before there was a rule.
    let by_rule = |path: &str| format!("{PREFIX}{}", path.replace('.', "_").to_uppercase());
    if let Some(key) = keys().all.iter().find(|key| by_rule(&key.path) == name) {
        return format!(
            "is not a known variable; the one of {} is {}",
            key.path, key.env
        );
    }
    let known = keys().all.iter().map(|key| key.env.as_str());
    let known = known.chain(secrets::names());
    match nearest(known, name) {
        Some(meant) => format!("is not a known variable; did you mean {meant}?"),
        None => "is not a known variable; `user-auth config schema` lists all (x-env)".to_owned(),
    }
}

/// Returns whether this is one of the variables that Kubernetes sets in each container
/// for every service; those of a service called `user-auth` have our prefix.
fn is_link(name: &str, value: &OsStr) -> bool {
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT") && value.to_string_lossy().contains("://")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| is_port(rest))
}
