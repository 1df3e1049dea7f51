//! JSON Schemas (2020-12) of the inputs and outputs of operations.
//!
//! They are derived from the types, but not in the component: that code would be a sixth
//! of it. Instead a file holds them; `make schemas` writes it, and a test compares it
//! with the types. The component embeds two extracts that the build script makes: the
//! schemas for clients, which do not mark secrets and are sent as they are, and the shapes
//! of the inputs, which mark them.

use serde_json::Value;

use super::redact;
use crate::assets::{Packed, packed};
use crate::json::{self, WriteJson};

/// One line for each operation, in the order of the table: its name, its description and the
/// schema of its input.
static INPUTS: Packed = packed!("inputs.tsv");

/// The schemas of the outputs, in the same order. They are half of all schemas, and most
/// lists of tools leave them out.
static OUTPUTS: Packed = packed!("outputs.jsonl");

/// Names, types and secrecy of the fields of inputs: one line for each operation.
const SHAPES: &str = include_str!(concat!(env!("OUT_DIR"), "/shapes.jsonl"));

/// What clients learn of an operation before they call it, as JSON.
#[derive(Clone, Copy)]
pub struct Input {
    /// The name of the operation.
    pub name: &'static str,
    /// The description of the operation, from the documentation of its type.
    pub description: JsonStr,
    /// The schema of the operation's own fields and, if it requires a caller, the field for
    /// the access token, for clients that cannot set headers.
    pub schema: JsonStr,
}

/// All that clients learn of an operation, as JSON.
#[derive(Clone, Copy)]
pub struct Schemas {
    /// The description of the operation.
    pub description: JsonStr,
    /// The schema of the input.
    pub input: JsonStr,
    /// The schema of the output.
    pub output: JsonStr,
}

/// The text of one JSON value that the component embeds.
#[derive(Clone, Copy)]
pub struct JsonStr(&'static str);

impl JsonStr {
    /// Parses the text.
    pub fn value(self) -> Value {
        parse(self.0)
    }

    /// Parses the text of a string.
    #[expect(
        clippy::expect_used,
        reason = "a test checks that descriptions are strings"
    )]
    pub fn string(self) -> String {
        let value = self.value();
        value.as_str().expect("a string").to_owned()
    }
}

impl WriteJson for JsonStr {
    fn write_json(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.0.as_bytes());
    }
}

/// Returns what comes before a call of each operation, in the order of the table.
pub fn inputs() -> impl Iterator<Item = Input> {
    INPUTS.text().lines().map(read)
}

/// Returns the schemas of the outputs of all operations, in the same order.
pub fn outputs() -> impl Iterator<Item = JsonStr> {
    OUTPUTS.text().lines().map(JsonStr)
}

/// Returns the schemas of all operations, in the same order.
pub fn all() -> impl Iterator<Item = Schemas> {
    named().map(|(_, schemas)| schemas)
}

/// Returns the schemas of an operation, which must exist.
#[expect(
    clippy::expect_used,
    reason = "a test checks that every operation has schemas"
)]
pub fn of(operation: &str) -> Schemas {
    let found = named().find(|(name, _)| *name == operation);
    found.expect("every operation has schemas").1
}

fn named() -> impl Iterator<Item = (&'static str, Schemas)> {
    inputs().zip(outputs()).map(|(input, output)| {
        let schemas = Schemas {
            description: input.description,
            input: input.schema,
            output,
        };
        (input.name, schemas)
    })
}

/// Marks every secret string in the schema of an input with the format `password`.
pub fn mark_secrets(input: &mut Value, operation: &str) {
    mark(input, &shape(operation));
}

/// Returns the shape of an input: the names, types and secrecy of its fields, and which
/// are required. The operation must exist.
#[expect(
    clippy::expect_used,
    reason = "a test checks that every operation has a shape"
)]
pub fn shape(operation: &str) -> Value {
    let mut lines = SHAPES.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(name, _)| *name == operation);
    parse(found.expect("every operation has a shape").1)
}

/// Returns whether a schema itself accepts values of this type, its alternatives aside.
pub(super) fn allows(schema: &Value, kind: &str) -> bool {
    let types = match &schema["type"] {
        Value::Array(several) => several.as_slice(),
        only => std::slice::from_ref(only),
    };
    types.iter().any(|it| it == kind)
}

/// Returns the schemas that a schema combines.
pub(super) fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|name| schema.get(name)?.as_array())
        .flatten()
}

/// Returns the names of the fields that a schema requires.
pub(super) fn required(schema: &Value) -> Vec<&str> {
    let required = schema["required"].as_array().into_iter().flatten();
    required.filter_map(Value::as_str).collect()
}

/// Splits a line into its columns.
#[expect(
    clippy::expect_used,
    reason = "the build script writes three columns on every line, and JSON has no tabs in it"
)]
fn read(line: &'static str) -> Input {
    let mut columns = line.split('\t');
    let mut column = || columns.next().expect("three columns");
    Input {
        name: column(),
        description: JsonStr(column()),
        schema: JsonStr(column()),
    }
}

#[expect(
    clippy::expect_used,
    reason = "the build script wrote the line from a parsed value"
)]
fn parse(line: &str) -> Value {
    let parsed = json::parse(line.as_bytes());
    parsed.expect("the build script writes JSON").into()
}

fn mark(schema: &mut Value, shape: &Value) {
    if schema["type"] == "string" && redact::is_secret(shape) {
        schema["format"] = "password".into();
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, schema) in properties.into_iter().flatten() {
        mark(schema, &shape["properties"][name]);
    }
    if let Some(items) = schema.get_mut("items") {
        mark(items, &shape["items"]);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::{env, fs};

    use serde_json::{Value, json};

    use super::{INPUTS, OUTPUTS, all, mark_secrets, of, shape};
    use crate::operations::TABLE;

    /// The file in the form in which the build script reads it.
    const FILE: &str = include_str!("schemas.jsonl");

    #[test]
    fn schemas_jsonl_matches_the_types() {
        let mut made = String::new();
        for definition in TABLE {
            let (name, (input, output)) = (json!(definition.name), (definition.schemas)());
            writeln!(
                made,
                "{{\"name\":{name},\"input\":{input},\"output\":{output}}}"
            )
            .unwrap();
        }
        if env::var_os("WRITE_SCHEMAS").is_some() {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dispatch/schemas.jsonl");
            fs::write(file, &made).unwrap();
            return;
        }
        for (written, made) in FILE.lines().zip(made.lines()) {
            assert_eq!(written, made, "`make schemas` writes the file");
        }
        assert_eq!(FILE.lines().count(), TABLE.len());
        assert_eq!(INPUTS.text().lines().count(), TABLE.len());
        assert_eq!(OUTPUTS.text().lines().count(), TABLE.len());
    }

    #[test]
    fn every_operation_has_its_schemas_by_name_and_by_position() {
        for (definition, listed) in TABLE.iter().zip(all()) {
            let found = of(definition.name);
            let input = found.input.value();
            assert_eq!(input, listed.input.value(), "{}", definition.name);
            assert_eq!(found.output.value(), listed.output.value());
            assert_eq!(shape(definition.name)["type"], "object");
            assert_eq!(input["type"], "object", "{}", definition.name);
            assert_eq!(input["description"], Value::Null, "{}", definition.name);
            let description = found.description.value();
            assert!(description.as_str().is_some_and(|text| !text.is_empty()));
        }
        let any = of("execute_primary_operation").input.value();
        assert_eq!(any["required"], json!(["data"]));
    }

    #[test]
    fn schemas_use_only_features_that_all_clients_support() {
        for (definition, schemas) in TABLE.iter().zip(all()) {
            check(&schemas.input.value(), definition.name, Side::Input);
            check(&schemas.output.value(), definition.name, Side::Output);
        }
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Side {
        Input,
        Output,
    }

    fn check(schema: &Value, place: &str, side: Side) {
        let keywords = schema.as_object().unwrap();
        for keyword in keywords.keys() {
            let is_known = match keyword.as_str() {
                "type" | "description" | "properties" | "required" | "items" | "enum"
                | "default" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems"
                | "maxItems" | "pattern" => true,
                "format" => schema["format"] == "date-time",
                "anyOf" | "additionalProperties" => side == Side::Output,
                _ => false,
            };
            assert!(is_known, "{place}: {keyword} in {schema}");
        }
        assert!(schema["type"].is_string(), "{place}: {schema}");
        assert_ne!(keywords.get("default"), Some(&Value::Null), "{place}");
        if side == Side::Input && schema["type"] == "object" {
            assert!(schema["properties"].is_object(), "{place}: {schema}");
        }
        assert_eq!(
            schema["type"] == "array",
            schema["items"].is_object(),
            "{place}"
        );
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            check(schema, &format!("{place}.{name}"), side);
        }
        if schema["items"].is_object() {
            check(&schema["items"], &format!("{place}[]"), side);
        }
        for schema in schema["anyOf"].as_array().into_iter().flatten() {
            check(schema, place, side);
        }
    }

    #[test]
    fn secret_fields_are_marked_as_passwords_in_the_schemas() {
        let mut login = of("login").input.value();
        assert_eq!(login["properties"]["password"]["format"], json!(null));
        mark_secrets(&mut login, "login");
        let fields = &login["properties"];
        assert_eq!(fields["password"]["format"], "password");
        assert_eq!(fields["username"]["format"], json!(null));
        let mut any = of("execute_primary_operation").input.value();
        mark_secrets(&mut any, "execute_primary_operation");
        let data = &any["properties"]["data"];
        assert_eq!(data["format"], json!(null), "it is not a secret string");
        assert_eq!(data["properties"]["password"]["format"], "password");
    }
}
