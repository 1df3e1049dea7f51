//! JSON Schemas (2020-12) of the inputs and outputs of operations.
//!
//! They are derived from the types, but not in the component: that code would be a sixth
//! of it. Instead a file holds them; `make schemas` writes it, and a test compares it
//! with the types. The component embeds two extracts that the build script makes: the
//! schemas for clients, which do not mark secrets, and the shapes of the inputs, which
//! do.

use serde_json::Value;

use super::redact;
use crate::assets::{Packed, packed};
use crate::json;

/// One line for each operation, in the order of the table.
static SCHEMAS: Packed = packed!("schemas.jsonl");

/// Names, types and secrecy of the fields of inputs: one line for each operation.
const SHAPES: &str = include_str!(concat!(env!("OUT_DIR"), "/shapes.jsonl"));

/// Schemas of the input and output of an operation.
pub struct Schemas {
    /// The operation's own fields and, if it requires a caller, the field for the access
    /// token, for clients that cannot set headers.
    pub input: Value,
    /// The output.
    pub output: Value,
}

impl Schemas {
    /// Returns the description of the operation, from the documentation of its type.
    pub fn description(&self) -> &str {
        self.input["description"].as_str().unwrap_or_default()
    }

    /// Marks every secret string of the input with the format `password`.
    pub fn mark_secrets(&mut self, operation: &str) {
        mark_secrets(&mut self.input, &shape(operation));
    }
}

/// Returns the schemas of all operations, in the order of the table.
pub fn all() -> impl Iterator<Item = Schemas> {
    SCHEMAS.text().lines().map(|line| {
        let (_, schemas) = line.split_once(' ').unwrap_or_default();
        read(schemas)
    })
}

/// Returns the schemas of an operation, which must exist.
pub fn of(operation: &str) -> Schemas {
    read(find(SCHEMAS.text(), operation).unwrap_or_default())
}

/// Returns the shape of an input: the names, types and secrecy of its fields, and which
/// are required.
pub fn shape(operation: &str) -> Value {
    find(SHAPES, operation).map_or(Value::Null, parse)
}

/// Returns the rest of the line that begins with this name.
fn find(file: &'static str, operation: &str) -> Option<&'static str> {
    let mut lines = file.lines().filter_map(|line| line.split_once(' '));
    let (_, found) = lines.find(|(name, _)| *name == operation)?;
    Some(found)
}

fn read(schemas: &str) -> Schemas {
    let mut schemas = parse(schemas);
    Schemas {
        input: schemas["input"].take(),
        output: schemas["output"].take(),
    }
}

// A test checks that every operation has a line that can be parsed.
fn parse(line: &str) -> Value {
    json::parse(line.as_bytes()).unwrap_or_default()
}

fn mark_secrets(schema: &mut Value, shape: &Value) {
    if schema["type"] == "string" && redact::is_secret(shape) {
        schema["format"] = "password".into();
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, schema) in properties.into_iter().flatten() {
        mark_secrets(schema, &shape["properties"][name]);
    }
    if let Some(items) = schema.get_mut("items") {
        mark_secrets(items, &shape["items"]);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::{env, fs};

    use serde_json::{Value, json};

    use super::{SCHEMAS, all, of, shape};
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
        assert_eq!(SCHEMAS.text().lines().count(), TABLE.len());
    }

    #[test]
    fn every_operation_has_its_schemas_by_name_and_by_position() {
        for (definition, listed) in TABLE.iter().zip(all()) {
            let found = of(definition.name);
            assert_eq!(found.input, listed.input, "{}", definition.name);
            assert_eq!(found.output, listed.output, "{}", definition.name);
            assert_eq!(listed.input["type"], "object", "{}", definition.name);
            assert!(!listed.description().is_empty(), "{}", definition.name);
        }
        let any = of("execute_primary_operation");
        assert_eq!(any.input["required"], json!(["data"]));
    }

    #[test]
    fn schemas_use_only_features_that_all_clients_support() {
        for (definition, schemas) in TABLE.iter().zip(all()) {
            check(&schemas.input, definition.name, Side::Input);
            check(&schemas.output, definition.name, Side::Output);
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
        let mut login = of("login");
        assert_eq!(login.input["properties"]["password"]["format"], json!(null));
        login.mark_secrets("login");
        let fields = &login.input["properties"];
        assert_eq!(fields["password"]["format"], "password");
        assert_eq!(fields["username"]["format"], json!(null));
        let mut any = of("execute_primary_operation");
        any.mark_secrets("execute_primary_operation");
        let data = &any.input["properties"]["data"];
        assert_eq!(data["format"], json!(null), "it is not a secret string");
        assert_eq!(data["properties"]["password"]["format"], "password");
        assert!(shape("no_such").is_null());
    }
}
