//! From JSON to values, through one deserializer for all types. It knows where in the
//! JSON it is, so that an error can tell; and with one more for text, and one that does
//! not know, there would be three times as much code in the component.

mod input;
mod node;

use std::fmt;

use serde::de::{self, DeserializeOwned, Error as _, Expected, Unexpected};
use serde_json::{Map, Value};

use self::input::Input;
use self::node::Node;

/// Why a value is not what it should be.
#[derive(Debug)]
pub struct Mismatch {
    /// Where: such as `scopes[2]`; empty for the whole.
    pub path: String,
    /// What is wrong. It may quote what was given.
    pub problem: String,
}

/// Reads JSON text. Two fields of one name are an error: whoever takes the first would
/// read another thing than who takes the last.
pub fn parse(json: &[u8]) -> serde_json::Result<Value> {
    let node: Node = serde_json::from_slice(json)?;
    Ok(node.into())
}

/// What is wrong with JSON text that cannot be read, as the end of a sentence about it.
pub fn problem(error: &serde_json::Error) -> &'static str {
    // RFC 8259 section 4: what an object with two such fields means depends on who reads
    // it.
    if error.is_data() {
        return "has two fields of one name";
    }
    let text = error.to_string();
    // Section 8.2; the parser tells what it found by its words alone.
    match text.contains("surrogate") || text.contains("end of hex escape") {
        true => "has half of a surrogate pair in a \\u escape, which is no character",
        false => "is not valid JSON",
    }
}

/// Reads JSON text that is to be of a type.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, Mismatch> {
    let node = serde_json::from_slice(json).map_err(Mismatch::custom)?;
    T::deserialize(Input(&node))
}

/// Reads a JSON value.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Mismatch> {
    T::deserialize(Input(&value.into()))
}

/// An object of these fields. Unlike `json!`, which writes what it is given as another
/// value, this takes it as it is.
pub fn object<const N: usize>(given: [(&str, Value); N]) -> Value {
    Value::Object(fields(given))
}

/// The same, where only an object can stand.
pub fn fields<const N: usize>(given: [(&str, Value); N]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in given {
        fields.insert(name.to_owned(), value);
    }
    fields
}

/// As JSON text.
pub fn text(value: &Value) -> String {
    // Only a map with keys that are no strings fails, and JSON has none.
    serde_json::to_string(value).unwrap_or_default()
}

impl Mismatch {
    fn within(mut self, outer: String) -> Mismatch {
        let begins_with_name = !self.path.is_empty() && !self.path.starts_with('[');
        let dot = if begins_with_name { "." } else { "" };
        self.path = format!("{outer}{dot}{}", self.path);
        self
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(problem: T) -> Mismatch {
        Mismatch {
            path: String::new(),
            problem: problem.to_string(),
        }
    }

    // What these say unless told otherwise can show any value, also a float: more code
    // than what a user gains from it.

    #[cold]
    fn invalid_type(given: Unexpected, expected: &dyn Expected) -> Mismatch {
        Mismatch::custom(format_args!(
            "invalid type: {}, expected {expected}",
            kind(given)
        ))
    }

    #[cold]
    fn invalid_value(given: Unexpected, expected: &dyn Expected) -> Mismatch {
        Mismatch::custom(format_args!(
            "invalid value: {}, expected {expected}",
            kind(given)
        ))
    }
}

fn kind(given: Unexpected<'_>) -> &str {
    match given {
        Unexpected::Unit => "null",
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "number",
        Unexpected::Other(kind) => kind,
        Unexpected::Str(_) => "string",
        Unexpected::Seq => "array",
        Unexpected::Map => "object",
        _ => "value",
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_told_from_what_is_no_json() {
        for text in [
            r#"{"a": "\ud83d"}"#,
            r#"{"a": "\ud83d outside"}"#,
            r#"{"a": "\ud83d\n"}"#,
            r#"{"a": "\ud83d\ud83d"}"#,
            r#"{"a": "\ude42"}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(problem(&error).contains("surrogate"), "{text}");
        }
        let of = |text: &str| problem(&parse(text.as_bytes()).unwrap_err());
        assert_eq!(of("{"), "is not valid JSON");
        assert_eq!(of(r#""\u12""#), "is not valid JSON");
        assert_eq!(of(r#"{"a": 1, "a": 2}"#), "has two fields of one name");
    }
}
