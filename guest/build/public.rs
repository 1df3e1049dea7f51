//! The schemas for clients.
//!
//! Clients pass them to validators and to models, each of which supports a different part
//! of JSON Schema. These schemas keep what all of them support:
//! - Ajv, which the TypeScript SDKs use, warns about each format that it does not know,
//!   and fails in strict mode; `email` would also reject addresses with non-ASCII letters,
//!   which this service accepts.
//! - OpenAI rejects a list in which one input has no `properties`.
//! - Gemini accepts one type per schema, requires a type in every schema, and does not
//!   accept `additionalProperties` in inputs. Callers learn that unknown fields are
//!   rejected when it happens.
//! - Which fields are secret is not for clients. It stays in the shapes.
//!
//! Each text holds a full and a lean form. The list of tools has the lean one, since models
//! read the whole list; descriptions of single operations have the full one.

use std::io;

use serde_json::{Map, Value, json};

use super::lean;
use super::two_forms;

/// Returns two texts with a line for each line of the schemas. A line of the first has three
/// columns between tabs: the name of the operation, its description, and the schema of its
/// input, as JSON. The description is that of the input, which does not repeat it. A line of
/// the second is the schema of the output.
pub fn of(schemas: &str) -> io::Result<(String, String)> {
    let (mut inputs, mut outputs) = (String::new(), String::new());
    for (number, line) in (1..).zip(schemas.lines()) {
        let mut schemas: Value = serde_json::from_str(line).map_err(|error| {
            io::Error::other(format!("line {number} of the schemas is no JSON: {error}"))
        })?;
        for side in [Side::Input, Side::Output] {
            simplify(&mut schemas[side.name()], side);
        }
        let description = schemas["input"]
            .as_object_mut()
            .and_then(|input| input.remove("description"));
        let (Some(name), Some(description)) = (schemas["name"].as_str(), description) else {
            let reason = format!("line {number} has no name or no description");
            return Err(io::Error::other(reason));
        };
        let (input, output) = (&schemas["input"], &schemas["output"]);
        let description = two_forms::of(&description, &lean::description(&description));
        let input = two_forms::of(input, &lean::input(input));
        let output = two_forms::of(output, &lean::output(output));
        inputs += &format!("{name}\t{description}\t{input}\n");
        outputs += &format!("{output}\n");
    }
    Ok((inputs, outputs))
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Input => "input",
            Side::Output => "output",
        }
    }
}

fn simplify(schema: &mut Value, side: Side) {
    let Value::Object(keywords) = schema else {
        return;
    };
    keywords.remove("writeOnly");
    if keywords.get("format").is_some_and(|it| it != "date-time") {
        keywords.remove("format");
    }
    // Leaving the field out means the same.
    if keywords.get("default").is_some_and(Value::is_null) {
        keywords.remove("default");
    }
    name_words(keywords);
    if side == Side::Input {
        keywords.remove("additionalProperties");
        if keywords.get("type").is_some_and(|it| it == "object") {
            keywords.entry("properties").or_insert_with(|| json!({}));
        }
    }
    let required = keywords.get("required").cloned().unwrap_or_default();
    let properties = keywords
        .get_mut("properties")
        .and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let is_required = required
            .as_array()
            .is_some_and(|names| names.iter().any(|it| it == name));
        if !is_required {
            drop_null(property);
        }
        simplify(property, side);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let schemas = keywords.get_mut(keyword).and_then(Value::as_array_mut);
        for schema in schemas.into_iter().flatten() {
            simplify(schema, side);
        }
    }
    if let Some(items) = keywords.get_mut("items") {
        simplify(items, side);
    }
}

/// Removes `null` from the types of an optional field.
fn drop_null(schema: &mut Value) {
    let Value::Object(keywords) = schema else {
        return;
    };
    if let Some(Value::Array(types)) = keywords.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            keywords.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = keywords.get_mut("anyOf") {
        alternatives.retain(|it| it["type"] != "null");
        if let [Value::Object(only)] = &alternatives[..] {
            let only = only.clone();
            keywords.remove("anyOf");
            for (keyword, value) in only {
                keywords.entry(keyword).or_insert(value);
            }
        }
    }
}

/// Replaces words that are described one by one with an `enum`, and adds their
/// descriptions to that of the whole.
fn name_words(keywords: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = keywords.get("oneOf") else {
        return;
    };
    let words: Vec<Value> = alternatives
        .iter()
        .filter_map(|it| it.get("const").cloned())
        .collect();
    if words.len() != alternatives.len() || !words.iter().all(Value::is_string) {
        return;
    }
    let mut description = keywords
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    for alternative in alternatives {
        if let (Some(word), Some(meaning)) = (
            alternative["const"].as_str(),
            alternative["description"].as_str(),
        ) {
            description += &format!("\n{word}: {meaning}");
        }
    }
    keywords.remove("oneOf");
    keywords.insert("type".to_owned(), "string".into());
    keywords.insert("enum".to_owned(), words.into());
    keywords.insert("description".to_owned(), description.trim().into());
}
