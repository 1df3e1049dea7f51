//! The lean forms of schemas, for the list of tools: models read all of it at once.

use serde_json::{Map, Value, json};

/// Returns the first paragraph of a description.
pub fn description(full: &Value) -> Value {
    let text = full.as_str().unwrap_or_default();
    text.split("\n\n").next().unwrap_or_default().into()
}

/// Returns what a model needs to write an input: the fields, their types and meanings, and
/// which are required. The service itself checks lengths, patterns and ranges, and says in
/// its error what it expects. Models of some kinds do not accept keywords for these.
pub fn input(full: &Value) -> Value {
    let mut lean = Map::new();
    for (keyword, value) in full.as_object().into_iter().flatten() {
        let value = match keyword.as_str() {
            "type" | "required" | "enum" => value.clone(),
            "description" => description(value),
            "properties" => each(value, input),
            // The description of an array is that of its items.
            "items" => without_description(input(value)),
            _ => continue,
        };
        lean.insert(keyword.clone(), value);
    }
    lean.into()
}

/// Returns what a client needs to check an output: the fields and their types. At the top
/// none is required, so that the structured content of an error, which only has the field
/// `error`, is valid too, without a schema of its own in every tool.
pub fn output(full: &Value) -> Value {
    let properties = match full["anyOf"].as_array() {
        None => part(full)["properties"].take(),
        Some(alternatives) => {
            let parts = alternatives.iter().map(part);
            let fields = parts.filter_map(|part| part["properties"].as_object().cloned());
            Value::Object(fields.flatten().collect())
        }
    };
    match properties {
        Value::Null => json!({"type": "object"}),
        properties => json!({"properties": properties, "type": "object"}),
    }
}

fn part(full: &Value) -> Value {
    let mut lean = Map::new();
    for (keyword, value) in full.as_object().into_iter().flatten() {
        let value = match keyword.as_str() {
            "type" | "required" | "enum" => value.clone(),
            "properties" => each(value, part),
            "items" => part(value),
            _ => continue,
        };
        lean.insert(keyword.clone(), value);
    }
    lean.into()
}

fn each(fields: &Value, lean: fn(&Value) -> Value) -> Value {
    let fields = fields.as_object().into_iter().flatten();
    fields
        .map(|(name, schema)| (name.clone(), lean(schema)))
        .collect()
}

fn without_description(mut schema: Value) -> Value {
    if let Value::Object(keywords) = &mut schema {
        keywords.remove("description");
    }
    schema
}
