//! The operations of the component and their fields, read from the component itself, so
//! that help, completions and checks of arguments always agree with it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use user_auth_host::store::MemoryStore;
use user_auth_host::{Plugin, StoreKeys};

use super::config::Component;
use crate::bootstrap::component;
use crate::failure::Failure;
use crate::{nearest, runtime};

/// The field that identifies the caller.
const CALLER: &str = "access_token";

/// Operations that end something but run without confirmation: the first two end only
/// what the caller holds the secret of, the last ends a lock.
const UNASKED: [&str; 3] = ["logout", "revoke_token", "unlock_user"];

/// Operations that end something each time that they run.
const ASKED: [&str; 4] = [
    "force_password_reset",
    "rotate_api_key",
    "rotate_client_secret",
    "rotate_signing_key",
];

/// An operation, as `auth.operations` describes it.
#[derive(Deserialize)]
pub(super) struct Operation {
    pub(super) name: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    input_schema: Value,
    #[serde(default)]
    annotations: Annotations,
}

/// The annotations of MCP about the effects of an operation.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Annotations {
    destructive_hint: bool,
    idempotent_hint: bool,
}

/// A field of the input of an operation.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) is_required: bool,
    schema: &'a Value,
}

/// Returns the operations of a plugin.
pub(super) async fn operations(plugin: &Plugin) -> Result<Vec<Operation>, Failure> {
    let operations = plugin.operations().await.map_err(Failure::no_answer)?;
    serde_json::from_str(&operations).map_err(|error| {
        Failure::start(format!(
            "the component has an invalid list of operations: {error}"
        ))
    })
}

/// Returns the operations of the configured component, without opening its store and
/// keys.
pub(super) fn operations_of(config: &Component) -> Result<Vec<Operation>, Failure> {
    let plugin = component(config)?
        .store(Arc::new(MemoryStore::new()))
        .keys(StoreKeys::ephemeral().map_err(Failure::start)?)
        .build()
        .map_err(Failure::start)?;
    let runtime = runtime::build()?;
    let operations = runtime.block_on(operations(&plugin));
    runtime.shutdown_background();
    operations
}

/// Returns the operation of this name, or an error that suggests the probable one.
pub(super) fn find<'a>(operations: &'a [Operation], name: &str) -> Result<&'a Operation, Failure> {
    if let Some(found) = operations.iter().find(|operation| operation.name == name) {
        return Ok(found);
    }
    // MCP tools have the name of their operation after this prefix.
    let bare = name.strip_prefix("user-auth_").unwrap_or(name);
    let names = operations.iter().map(|operation| operation.name.as_str());
    let meant = nearest::suggestion(names, bare);
    Err(Failure::usage(format!(
        "unknown operation '{name}'{meant} `user-auth call --help` lists them"
    )))
}

impl Operation {
    /// Returns the fields: the required ones first, in their order, and last the one
    /// that the operator rarely needs here.
    pub(super) fn fields(&self) -> Vec<Field<'_>> {
        let required = self.input_schema["required"].as_array();
        let required: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = self.input_schema["properties"].as_object();
        let mut fields: Vec<Field<'_>> = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| Field {
                name,
                is_required: required.contains(&name.as_str()),
                schema,
            })
            .collect();
        fields.sort_by_key(|field| {
            let place = required.iter().position(|name| *name == field.name);
            (place.unwrap_or(usize::MAX), field.name == CALLER)
        });
        fields
    }

    /// Returns the field of this name.
    pub(super) fn field(&self, name: &str) -> Option<Field<'_>> {
        self.fields().into_iter().find(|field| field.name == name)
    }

    /// Returns whether there are no fields other than the named ones. Schemas for MCP
    /// clients do not say so, since some clients do not accept `additionalProperties`,
    /// so an operation that accepts any field declares that.
    pub(super) fn is_closed(&self) -> bool {
        let others = &self.input_schema["additionalProperties"];
        self.input_schema["properties"].is_object() && (others.is_null() || *others == false)
    }

    /// Returns whether running it ends something that no other command can restore.
    pub(super) fn needs_confirmation(&self) -> bool {
        let Annotations {
            destructive_hint,
            idempotent_hint,
        } = self.annotations;
        let ends_once = destructive_hint && idempotent_hint;
        let name = self.name.as_str();
        ASKED.contains(&name) || ends_once && !UNASKED.contains(&name)
    }

    /// Returns whether a field sets a password that its owner has to remember, which is
    /// worth typing twice.
    pub(super) fn sets_password(&self, field: &Field<'_>) -> bool {
        field.name == "new_password" || (self.name == "register" && field.name == "password")
    }
}

impl<'a> Field<'a> {
    /// Returns the description in the schema, as one line.
    pub(super) fn description(&self) -> String {
        one_line(self.schema["description"].as_str().unwrap_or_default())
    }

    /// Returns whether its values must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        self.schema["format"] == "password"
    }

    /// Returns whether the schema allows values of this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        match &self.schema["type"] {
            Value::String(only) => only == kind,
            Value::Array(several) => several.iter().any(|one| one == kind),
            _ => false,
        }
    }

    /// Returns whether its value is a list of texts.
    pub(super) fn is_list(&self) -> bool {
        self.is("array") && self.schema["items"]["type"] == "string"
    }

    /// Returns the only values that it can have, or an empty list if others are
    /// possible.
    pub(super) fn choices(&self) -> Vec<&'a str> {
        let words = self.schema["enum"].as_array();
        let constants = self.schema["oneOf"].as_array();
        let constants = constants.into_iter().flatten().map(|one| &one["const"]);
        let all = words.into_iter().flatten().chain(constants);
        all.filter_map(Value::as_str).collect()
    }

    /// Returns its form on the command line, such as `limit=N`.
    pub(super) fn usage(&self) -> String {
        let name = self.name;
        match self.choices() {
            choices if !choices.is_empty() => format!("{name}={}", choices.join("|")),
            _ if self.is_secret() => format!("{name}=SECRET"),
            _ if self.is("string") => format!("{name}=TEXT"),
            _ if self.is("integer") => format!("{name}=N"),
            _ if self.is("boolean") => format!("{name}=true|false"),
            _ if self.is_list() => format!("{name}=A,B"),
            _ => format!("{name}:=JSON"),
        }
    }
}

/// Joins the lines of a text into one.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn operation(name: &str, input_schema: Value) -> Operation {
        let operation = json!({"name": name, "input_schema": input_schema});
        serde_json::from_value(operation).unwrap()
    }

    pub(crate) fn example() -> Operation {
        operation(
            "register",
            json!({
                "additionalProperties": false,
                "required": ["username", "password"],
                "properties": {
                    "access_token": {"type": "string", "format": "password"},
                    "all": {"type": "boolean"},
                    "limit": {"type": ["integer", "null"]},
                    "password": {
                        "type": "string", "format": "password", "description": "A\nsecret.",
                    },
                    "picture": {"type": "string", "enum": ["none", "text"]},
                    "raw": {"type": "object"},
                    "scopes": {"type": "array", "items": {"type": "string"}},
                    "username": {"type": "string"},
                },
            }),
        )
    }

    #[test]
    fn fields_are_displayed_by_their_schema() {
        let operation = example();
        let fields = operation.fields();
        let usages: Vec<String> = fields.iter().map(Field::usage).collect();
        assert_eq!(
            usages,
            [
                "username=TEXT",
                "password=SECRET",
                "all=true|false",
                "limit=N",
                "picture=none|text",
                "raw:=JSON",
                "scopes=A,B",
                "access_token=SECRET",
            ]
        );
        let password = operation.field("password").unwrap();
        assert_eq!(password.description(), "A secret.");
        assert!(password.is_required && operation.sets_password(&password));
        assert!(operation.field("nothing").is_none());
    }

    #[test]
    fn an_operation_is_closed_unless_its_schema_is_open() {
        let is_closed = |schema| operation("any", schema).is_closed();
        assert!(is_closed(json!({"properties": {}})));
        assert!(is_closed(
            json!({"properties": {}, "additionalProperties": false})
        ));
        assert!(!is_closed(
            json!({"properties": {}, "additionalProperties": true})
        ));
        assert!(!is_closed(json!({})));
    }

    #[test]
    fn only_destructive_operations_need_confirmation() {
        for (name, destructive, idempotent, needs) in [
            ("delete_user", true, true, true),
            ("change_password", true, false, false),
            ("get_user", false, true, false),
            ("logout", true, true, false),
            ("force_password_reset", true, false, true),
            ("rotate_signing_key", true, false, true),
        ] {
            let annotations = json!({"destructiveHint": destructive, "idempotentHint": idempotent});
            let operation = json!({"name": name, "annotations": annotations});
            let operation: Operation = serde_json::from_value(operation).unwrap();
            assert_eq!(operation.needs_confirmation(), needs, "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let operations = [
            operation("login", json!({})),
            operation("logout", json!({})),
        ];
        let refused = |name| find(&operations, name).err().unwrap().message;
        assert_eq!(
            refused("logn"),
            "unknown operation 'logn'; did you mean `login`? `user-auth call --help` lists \
             them"
        );
        assert!(refused("user-auth_login").contains("did you mean `login`?"));
        assert!(!refused("frobnicate").contains("did you mean"));
    }
}
