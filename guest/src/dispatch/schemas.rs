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
    #[expect(
        clippy::expect_used,
        reason = "a test checks that every operation has one"
    )]
    pub fn description(&self) -> &str {
        let description = self.input["description"].as_str();
        description.expect("every operation has a description")
    }

    /// Removes the description from the schema of the input, and returns it.
    #[expect(
        clippy::expect_used,
        reason = "a test checks that every operation has one"
    )]
    pub fn take_description(&mut self) -> Value {
        let input = self.input.as_object_mut();
        let description = input.and_then(|input| input.remove("description"));
        description.expect("every operation has a description")
    }

    /// Marks every secret string of the input with the format `password`.
    pub fn mark_secrets(&mut self, operation: &str) {
        mark_secrets(&mut self.input, &shape(operation));
    }
}

/// Returns the schemas of all operations, in the order of the table.
pub fn all() -> impl Iterator<Item = Schemas> {
    lines(SCHEMAS.text()).map(|(_, schemas)| read(schemas))
}

/// Returns the schemas of an operation, which must exist.
#[expect(
    clippy::expect_used,
    reason = "a test checks that every operation has schemas"
)]
pub fn of(operation: &str) -> Schemas {
    read(find(SCHEMAS.text(), operation).expect("every operation has schemas"))
}

/// Returns the shape of an input: the names, types and secrecy of its fields, and which
/// are required. The operation must exist.
#[expect(
    clippy::expect_used,
    reason = "a test checks that every operation has a shape"
)]
pub fn shape(operation: &str) -> Value {
    parse(find(SHAPES, operation).expect("every operation has a shape"))
}

/// Returns the rest of the line that begins with this name.
fn find(file: &'static str, operation: &str) -> Option<&'static str> {
    let (_, found) = lines(file).find(|(name, _)| *name == operation)?;
    Some(found)
}

/// Returns the lines as the build script writes them: a name and JSON.
#[expect(
    clippy::expect_used,
    reason = "the build script writes both on every line"
)]
fn lines(file: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = file.lines();
    lines.map(|line| line.split_once(' ').expect("a name and JSON"))
}

fn read(schemas: &str) -> Schemas {
    let mut schemas = parse(schemas);
    Schemas {
        input: schemas["input"].take(),
        output: schemas["output"].take(),
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
            assert_eq!(
                shape(definition.name)["type"],
                "object",
                "{}",
                definition.name
            );
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
    }
}
