//! JSON Schemas (2020-12) of the inputs and outputs of operations.
//!
//! They are derived from the types, but not in the component: that code would be a sixth
//! of it. Instead a file holds them; `make schemas` writes it, and a test compares it
//! with the types. The component embeds two extracts that the build script makes: the
//! schemas for clients, which do not mark secrets and are sent as they are, in a full and a
//! lean form; and the shapes of the inputs, which mark secrets.

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

/// The text of one JSON value that the component embeds, in a full and a lean form: see
/// `build/two_forms.rs`. It is written in its full form.
#[derive(Clone, Copy)]
pub struct JsonStr(&'static str);

/// The lean form of a [`JsonStr`], for the list of tools.
pub struct Lean(JsonStr);

impl JsonStr {
    /// Returns the lean form.
    pub fn lean(self) -> Lean {
        Lean(self)
    }

    /// Parses the full form.
    pub fn value(self) -> Value {
        let mut text = Vec::with_capacity(self.0.len());
        self.write_json(&mut text);
        parse(&text)
    }

    /// Parses the full form of a string.
    #[expect(
        clippy::expect_used,
        reason = "a test checks that descriptions are strings"
    )]
    pub fn string(self) -> String {
        let value = self.value();
        value.as_str().expect("a string").to_owned()
    }

    /// Appends the text, and of each place where the forms differ what `choose` returns of
    /// the full and the lean form.
    #[expect(
        clippy::expect_used,
        reason = "the build script writes both forms wherever they differ"
    )]
    fn write(self, to: &mut Vec<u8>, choose: fn(&'static str, &'static str) -> &'static str) {
        let mut parts = self.0.split('\x01');
        to.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
        for part in parts {
            let (full, rest) = part.split_once('\x02').expect("a full form");
            let (lean, common) = rest.split_once('\x03').expect("a lean form");
            to.extend_from_slice(choose(full, lean).as_bytes());
            to.extend_from_slice(common.as_bytes());
        }
    }
}

impl WriteJson for JsonStr {
    fn write_json(&self, to: &mut Vec<u8>) {
        self.write(to, |full, _| full);
    }
}

impl WriteJson for Lean {
    fn write_json(&self, to: &mut Vec<u8>) {
        self.0.write(to, |_, lean| lean);
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
    parse(found.expect("every operation has a shape").1.as_bytes())
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
    reason = "the build script wrote the text from a parsed value"
)]
fn parse(text: &[u8]) -> Value {
    let parsed = json::parse(text);
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

    use serde_json::{Map, Value, json};

    use super::{INPUTS, JsonStr, OUTPUTS, all, mark_secrets, of, shape};
    use crate::json::JsonText;
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
            let (input, output) = (schemas.input, schemas.output);
            check(&input.value(), definition.name, &FULL, true);
            let of_outputs = [&FULL[..], &["additionalProperties", "anyOf"]].concat();
            check(&output.value(), definition.name, &of_outputs, false);
            check(&lean(input), definition.name, &LEAN, true);
            check(&lean(output), definition.name, &LEAN_OUTPUT, false);
        }
    }

    /// Keywords besides those that are allowed everywhere.
    const FULL: [&str; 10] = [
        "description",
        "default",
        "format",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
    ];
    const LEAN: [&str; 1] = ["description"];
    const LEAN_OUTPUT: [&str; 0] = [];
    const ALWAYS: [&str; 5] = ["type", "properties", "required", "items", "enum"];

    fn check(schema: &Value, place: &str, others: &[&str], is_input: bool) {
        let keywords = schema.as_object().unwrap();
        for keyword in keywords.keys() {
            let keyword = keyword.as_str();
            let is_known = ALWAYS.contains(&keyword) || others.contains(&keyword);
            assert!(is_known, "{place}: {keyword} in {schema}");
        }
        assert!(schema["type"].is_string(), "{place}: {schema}");
        assert_ne!(keywords.get("default"), Some(&Value::Null), "{place}");
        let format = schema.get("format").is_none_or(|it| it == "date-time");
        assert!(format, "{place}: {schema}");
        if is_input && schema["type"] == "object" {
            assert!(schema["properties"].is_object(), "{place}: {schema}");
        }
        assert_eq!(
            schema["type"] == "array",
            schema["items"].is_object(),
            "{place}"
        );
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            check(schema, &format!("{place}.{name}"), others, is_input);
        }
        if schema["items"].is_object() {
            check(&schema["items"], &format!("{place}[]"), others, is_input);
        }
        for schema in schema["anyOf"].as_array().into_iter().flatten() {
            check(schema, place, others, is_input);
        }
    }

    fn lean(schema: JsonStr) -> Value {
        let text = JsonText::of(&schema.lean());
        serde_json::from_str(text.as_str()).unwrap()
    }

    /// A field of the full form may be left out of the lean one, but nothing is added.
    #[test]
    fn the_lean_form_of_a_schema_has_the_same_fields() {
        fn fields(schema: &Value) -> Value {
            let names = ["type", "required", "enum"].iter();
            let mut kept: Map<String, Value> = names
                .filter_map(|name| Some(((*name).to_owned(), schema.get(name)?.clone())))
                .collect();
            if let Some(properties) = schema["properties"].as_object() {
                let of_each = properties.iter();
                let of_each = of_each.map(|(name, schema)| (name.clone(), fields(schema)));
                kept.insert("properties".to_owned(), of_each.collect());
            }
            if let Some(items) = schema.get("items") {
                kept.insert("items".to_owned(), fields(items));
            }
            kept.into()
        }
        for (definition, schemas) in TABLE.iter().zip(all()) {
            let name = definition.name;
            let input = schemas.input;
            assert_eq!(fields(&lean(input)), fields(&input.value()), "{name}");
            let mut output = schemas.output.value();
            let output = output.as_object_mut().unwrap();
            output.remove("required");
            if let Some(alternatives) = output.remove("anyOf") {
                let all = alternatives.as_array().unwrap().iter();
                let all = all.flat_map(|it| it["properties"].as_object().unwrap().clone());
                output.insert("properties".to_owned(), all.collect());
            }
            let output = json!(output);
            assert_eq!(lean(schemas.output), fields(&output), "{name}");
            let description = schemas.description.string();
            let first = lean(schemas.description);
            assert_eq!(description.split("\n\n").next(), first.as_str());
        }
        let login = of("login").description.string();
        assert!(login.contains("\n\nAn error does not reveal"), "{login}");
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
