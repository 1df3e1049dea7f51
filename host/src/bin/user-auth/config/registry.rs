//! All keys of the configuration, derived from its schema, so that the schema, the
//! environment, the errors and the display stay consistent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Config;
use crate::config::value_type::Kind;

/// The prefix of all our environment variables.
pub(crate) const PREFIX: &str = "USER_AUTH_";

/// A key of the configuration.
#[derive(Debug)]
pub(crate) struct ConfigOption {
    /// Its path, such as `security.cors.enabled`.
    pub(crate) path: String,
    /// Its environment variable.
    pub(crate) env: String,
    pub(crate) kind: Kind,
    /// Its default, if that is a value. In a section without a default it applies once the
    /// section is set.
    pub(crate) default: Option<Value>,
    /// Whether it may be left out without a default.
    pub(crate) nullable: bool,
    /// Whether its value may contain a secret.
    pub(crate) secret: bool,
}

/// All keys, in the order of the schema, and their sections.
#[derive(Debug, Default)]
pub(crate) struct OptionRegistry {
    pub(crate) all: Vec<ConfigOption>,
    by_path: BTreeMap<String, usize>,
    sections: BTreeSet<String>,
}

/// Returns the keys of [`Config`].
pub(crate) fn keys() -> &'static OptionRegistry {
    static REGISTRY: LazyLock<OptionRegistry> = LazyLock::new(|| OptionRegistry::of(&schema()));
    &REGISTRY
}

/// Returns the JSON Schema (2020-12) of the file. Definitions are inlined, so that a
/// reader need not follow references.
pub(crate) fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value();
    schema["title"] = json!("The configuration of user-auth");
    // `$schema` is for editors, `$sources` is added by `user-auth config show`.
    schema["patternProperties"] = json!({"^\\$": true});
    name_variables(&mut schema, "");
    schema
}

/// Adds the name of its variable to each key that has none.
fn name_variables(schema: &mut Value, path: &str) {
    for (name, property) in schema["properties"].as_object_mut().into_iter().flatten() {
        let path = join(path, name);
        let sections = if property["anyOf"].is_array() {
            property["anyOf"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .collect()
        } else {
            vec![&mut *property]
        };
        let mut is_section = false;
        for section in sections {
            if section.get("properties").is_some() {
                is_section = true;
                name_variables(section, &path);
            }
        }
        if !is_section && property.get("x-env").is_none() {
            let name = format!("{PREFIX}{}", path.replace('.', "_").to_uppercase());
            property["x-env"] = name.into();
        }
    }
}

fn join(section: &str, name: &str) -> String {
    match section {
        "" => name.to_owned(),
        _ => format!("{section}.{name}"),
    }
}

impl OptionRegistry {
    fn of(schema: &Value) -> Self {
        let mut keys = Self::default();
        keys.add_section(schema, "");
        keys
    }

    /// Returns the key with this path.
    pub(crate) fn get(&self, path: &str) -> Option<&ConfigOption> {
        self.by_path.get(path).map(|index| &self.all[*index])
    }

    /// Returns the key of this environment variable.
    pub(crate) fn of_variable(&self, name: &str) -> Option<&ConfigOption> {
        self.all.iter().find(|key| key.env == name)
    }

    pub(crate) fn is_section(&self, path: &str) -> bool {
        self.sections.contains(path)
    }

    /// Returns the names of the keys and sections in a section.
    pub(crate) fn names_in<'a>(&'a self, section: &str) -> BTreeSet<&'a str> {
        self.paths()
            .filter_map(|path| match section {
                "" => Some(path),
                _ => path.strip_prefix(section)?.strip_prefix('.'),
            })
            .filter_map(|rest| rest.split('.').next())
            .collect()
    }

    /// Returns the path of another key or section with this name.
    pub(crate) fn elsewhere(&self, name: &str) -> Option<&str> {
        self.paths()
            .find(|path| path.rsplit('.').next() == Some(name))
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let keys = self.all.iter().map(|key| key.path.as_str());
        let sections = self.sections.iter().map(String::as_str);
        sections.filter(|section| !section.is_empty()).chain(keys)
    }

    fn add_section(&mut self, schema: &Value, path: &str) {
        self.sections.insert(path.to_owned());
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = join(path, name);
            match variant(property, |schema| schema.get("properties").is_some()) {
                Some(section) => self.add_section(section, &path),
                None => self.add_key(property, path),
            }
        }
    }

    fn add_key(&mut self, property: &Value, path: String) {
        let env = property["x-env"].as_str().unwrap_or_default().to_owned();
        let is_value = |schema: &Value| schema["type"] != "null";
        self.by_path.insert(path.clone(), self.all.len());
        self.all.push(ConfigOption {
            path,
            env,
            kind: Kind::of(variant(property, is_value).unwrap_or(property)),
            default: property
                .get("default")
                .filter(|default| !default.is_null())
                .cloned(),
            nullable: allows_null(property),
            secret: property["x-secret"] == true,
        });
    }
}

/// Returns the schema itself or the first of its variants that fits.
fn variant(schema: &Value, is_meant: impl Fn(&Value) -> bool) -> Option<&Value> {
    match schema["anyOf"].as_array() {
        Some(variants) => variants.iter().find(|one| is_meant(one)),
        None => Some(schema).filter(|one| is_meant(one)),
    }
}

fn allows_null(schema: &Value) -> bool {
    let is_null = |schema: &Value| match &schema["type"] {
        Value::Array(types) => types.iter().any(|one| one == "null"),
        one => one == "null",
    };
    is_null(schema)
        || schema["anyOf"]
            .as_array()
            .is_some_and(|all| all.iter().any(is_null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_unique_environment_variable() {
        let mut seen = BTreeSet::new();
        for key in &keys().all {
            assert!(seen.insert(&key.env), "{}", key.env);
            assert!(
                key.env == "LOG_LEVEL" || key.env.starts_with(PREFIX),
                "{}",
                key.env
            );
        }
        assert!(seen.len() > 80, "{}", seen.len());
    }

    #[test]
    fn variables_follow_the_rule_except_for_older_names() {
        for (path, env) in [
            (
                "security.rate_limiting.burst_size",
                "USER_AUTH_SECURITY_RATE_LIMITING_BURST_SIZE",
            ),
            (
                "security.authentication.type",
                "USER_AUTH_SECURITY_AUTHENTICATION_TYPE",
            ),
            ("discovery.consul.url", "USER_AUTH_DISCOVERY_CONSUL_URL"),
            ("limits.body_bytes", "USER_AUTH_LIMITS_BODY_BYTES"),
            ("server.listen", "USER_AUTH_LISTEN"),
            ("security.cors.allowed_origins", "USER_AUTH_ALLOWED_ORIGINS"),
            ("passwords.min_length", "USER_AUTH_PASSWORD_MIN_LENGTH"),
            ("logging.level", "LOG_LEVEL"),
        ] {
            assert_eq!(
                keys().get(path).map(|key| key.env.as_str()),
                Some(env),
                "{path}"
            );
        }
    }

    #[test]
    fn every_key_has_a_description_and_a_type() {
        fn check(schema: &Value, path: &str) {
            assert!(schema["description"].is_string(), "{path} is not described");
            let section = variant(schema, |schema| schema.get("properties").is_some());
            let Some(section) = section else {
                return;
            };
            for (name, property) in section["properties"].as_object().unwrap() {
                check(property, &format!("{path}.{name}"));
            }
        }
        check(&schema(), "");
        for key in &keys().all {
            assert!(!matches!(key.kind, Kind::Any), "{}", key.path);
        }
    }

    #[test]
    fn every_component_setting_has_a_key() {
        for setting in user_auth_host::settings::SETTINGS {
            assert!(
                keys().of_variable(setting.name).is_some(),
                "{}",
                setting.name
            );
        }
    }
}
