//! The parts of the input schemas that many calls need: the fields, their types, and which
//! are required and which are secret. The descriptions, nine tenths of the schemas, are
//! left out.

use std::io;

use serde_json::{Map, Value};

/// Returns a line for each line of the schemas: the name of the operation, a space, and
/// the shape.
pub fn of(schemas: &str) -> io::Result<String> {
    let mut shapes = String::new();
    for (number, line) in (1..).zip(schemas.lines()) {
        let schemas: Value = serde_json::from_str(line).map_err(|error| {
            io::Error::other(format!("line {number} of the schemas is no JSON: {error}"))
        })?;
        let name = schemas["name"].as_str();
        let name = name.ok_or_else(|| io::Error::other(format!("line {number} has no name")))?;
        shapes += &format!("{name} {}\n", shape(&schemas["input"]));
    }
    Ok(shapes)
}

fn shape(schema: &Value) -> Value {
    let mut kept = Map::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        let value = match (keyword.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                let fields = fields.iter();
                fields
                    .map(|(name, schema)| (name.clone(), shape(schema)))
                    .collect()
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(schemas)) => {
                schemas.iter().map(shape).collect()
            }
            ("items", schema) => shape(schema),
            ("type" | "required" | "writeOnly", value) => value.clone(),
            ("format", format) if format == "password" => format.clone(),
            _ => continue,
        };
        kept.insert(keyword.clone(), value);
    }
    Value::Object(kept)
}
