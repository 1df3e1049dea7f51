//! The schemas as clients take them.
//!
//! Clients hand them on to validators and to models, each of which knows its own part of
//! JSON Schema. Left here is what all of them know:
//! - Ajv, which the TypeScript SDKs use, warns of each format that it does not know, and in
//!   strict mode fails; `email` would moreover refuse addresses with other than ASCII
//!   letters, which we take.
//! - OpenAI refuses a list in which one input has no `properties`.
//! - Gemini takes one type a schema, a type in every schema, and no
//!   `additionalProperties` in inputs. That fields which are not known are refused, a
//!   caller learns as it happens.
//! - What is secret is for us to know. It stays in the shapes.

use std::io;

use serde_json::{Map, Value, json};

/// A line for each line of the schemas: the name of the operation, a blank, an object
/// of `input` and `output`.
pub fn of(schemas: &str) -> io::Result<String> {
    let mut public = String::new();
    for (number, line) in (1..).zip(schemas.lines()) {
        let mut schemas: Value = serde_json::from_str(line).map_err(|error| {
            io::Error::other(format!("line {number} of the schemas is no JSON: {error}"))
        })?;
        for side in [Side::Input, Side::Output] {
            simplify(&mut schemas[side.name()], side);
        }
        let name = schemas["name"].as_str().unwrap_or_default().to_owned();
        let both = json!({"input": schemas["input"], "output": schemas["output"]});
        public += &format!("{name} {both}\n");
    }
    Ok(public)
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
    // It is said by leaving the field out.
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

/// A field that may be left out need not be null.
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

/// Words that are described one by one become an `enum`, and what is said of each goes
/// to the description of all.
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
