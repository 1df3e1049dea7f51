//! The JSON Schemas (2020-12) of what operations take and give.
//!
//! They are made of the types, but not in the component: the code for that would be a
//! sixth of it. A file holds them, and a test holds the file against the types;
//! `make schemas` writes it anew.

use serde_json::Value;

use crate::json;
use crate::packed::{Packed, packed};

/// A line for each operation, in the order of the table.
static SCHEMAS: Packed = packed!("schemas.jsonl");

/// The same without what is for people.
static SHAPES: Packed = packed!("shapes.jsonl");

/// What an operation takes and gives.
pub struct Schemas {
    /// Its own fields, and where it requires a caller a field to say who that is, for
    /// clients that cannot set headers.
    pub input: Value,
    /// What it gives.
    pub output: Value,
}

impl Schemas {
    /// What the operation does, from the documentation of its type.
    pub fn description(&self) -> &str {
        self.input["description"].as_str().unwrap_or_default()
    }
}

/// Those of all operations, in the order of the table.
pub fn all() -> impl Iterator<Item = Schemas> {
    SCHEMAS.text().lines().map(|line| {
        let mut schemas = parse(line);
        Schemas {
            input: schemas["input"].take(),
            output: schemas["output"].take(),
        }
    })
}

/// Of what an operation takes: the names, types and secrecy of the fields, and which
/// are required.
pub fn shape(operation: &str) -> Value {
    let mut shapes = SHAPES
        .text()
        .lines()
        .filter_map(|line| line.split_once(' '));
    let shape = shapes.find(|(name, _)| *name == operation);
    shape.map_or(Value::Null, |(_, shape)| parse(shape))
}

// A test sees to it that there is a line for each operation, and that it can be read.
fn parse(line: &str) -> Value {
    json::parse(line.as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::{env, fs};

    use serde_json::json;

    use super::super::TABLE;
    use super::SCHEMAS;

    #[test]
    fn the_file_has_the_schemas_of_the_types() {
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
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/operations/schemas.jsonl");
            fs::write(file, &made).unwrap();
            return;
        }
        for (written, made) in SCHEMAS.text().lines().zip(made.lines()) {
            assert_eq!(written, made, "`make schemas` writes the file anew");
        }
        assert_eq!(SCHEMAS.text().lines().count(), TABLE.len());
    }
}
