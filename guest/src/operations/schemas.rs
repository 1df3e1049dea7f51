//! The JSON Schemas (2020-12) of what operations take and give.
//!
//! They are made of the types, but not in the component: the code for that would be a
//! sixth of it. A file holds them, and a test holds the file against the types;
//! `make schemas` writes it anew.

use serde_json::Value;

use crate::json;
use crate::packed::{Packed, packed};

/// A line for each operation, in the order of the table.
static LINES: Packed = packed!("schemas.jsonl");

/// What an operation takes: its own fields, and where it requires a caller a field to
/// say who that is, for clients that cannot set headers.
pub fn input(operation: &str) -> Value {
    part(operation, "input")
}

/// What an operation gives.
pub fn output(operation: &str) -> Value {
    part(operation, "output")
}

fn part(operation: &str, part: &str) -> Value {
    let begin = format!("{{\"name\":\"{operation}\",");
    let line = LINES.text().lines().find(|line| line.starts_with(&begin));
    // A test sees to it that there is a line for each, and that it can be read.
    let schemas = line.and_then(|line| json::parse(line.as_bytes()).ok());
    schemas.map_or(Value::Null, |mut schemas| schemas[part].take())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::{env, fs};

    use serde_json::json;

    use super::super::TABLE;
    use super::LINES;

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
        for (written, made) in LINES.text().lines().zip(made.lines()) {
            assert_eq!(written, made, "`make schemas` writes the file anew");
        }
        assert_eq!(LINES.text().lines().count(), TABLE.len());
    }
}
