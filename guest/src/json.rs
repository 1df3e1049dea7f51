//! JSON: from text to one tree, which borrows from it, and from the tree to values of any
//! type; and from values to text.
//!
//! There is one deserializer for all types. It knows its position in the JSON, for the
//! errors; with another one for text, and one without positions, there would be three
//! times as much code in the component.

mod input;
mod node;
mod quoted;
mod text;

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde::de::{self, DeserializeOwned, Error as _, Expected, Unexpected};
use serde_json::ser::Formatter;
use serde_json::{Map, Number, Value};

use self::input::Input;
pub use self::node::{Fields, Node};
pub use self::quoted::{MAX_VALUES, has_too_many_values, unquoted};
pub use self::text::{JsonText, ObjectWriter, WriteJson};

/// A value that does not have the required type.
#[derive(Debug)]
pub struct Mismatch {
    /// The path of the value, such as `scopes[2]`; empty for the whole.
    pub path: String,
    /// The problem. It may quote the value.
    pub problem: String,
}

/// The integers that every reader of JSON holds exactly (RFC 7493 section 2.2).
const EXACT: f64 = 9_007_199_254_740_992.0;
/// 2 to the power of 127.
const MAX_WRITABLE: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

/// Parses JSON text. Duplicate field names are an error, because parsers disagree on which
/// one wins.
pub fn parse(json: &[u8]) -> serde_json::Result<Node<'_>> {
    serde_json::from_slice(json)
}

/// Returns why JSON text cannot be parsed, as the end of a sentence about the text.
pub fn problem(error: &serde_json::Error) -> &'static str {
    // RFC 8259 section 4: the meaning of such an object depends on the parser.
    if error.is_data() {
        return "has two fields with the same name";
    }
    let text = error.to_string();
    // Section 8.2. Only the message of the parser tells these errors apart.
    match text.contains("surrogate") || text.contains("end of hex escape") {
        true => "has half of a surrogate pair in a \\u escape, which is no character",
        false => "is not valid JSON",
    }
}

/// Parses JSON text into a value of a type.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, Mismatch> {
    from_node(&parse(json).map_err(Mismatch::custom)?)
}

/// Parses the text of an object into a value of a type. No field of the object may be a
/// number with a fraction or an exponent, since 30.0 would be a second spelling of 30.
pub fn from_plain_object<T: DeserializeOwned>(json: &[u8]) -> Result<T, Mismatch> {
    let node = parse(json).map_err(Mismatch::custom)?;
    let is_float = |node: &Node| matches!(node, Node::Number(number) if number.is_f64());
    match &node {
        Node::Object(fields) if !fields.as_slice().iter().any(|(_, value)| is_float(value)) => {
            from_node(&node)
        }
        _ => Err(Mismatch::custom("expected an object without fractions")),
    }
}

/// Converts a tree into a value of a type.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, Mismatch> {
    T::deserialize(Input(node))
}

/// Returns an object with these fields. Unlike `json!`, which serialises values again, it
/// moves them.
pub fn fields<const N: usize>(given: [(&str, Value); N]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in given {
        fields.insert(name.to_owned(), value);
    }
    fields
}

/// Reports whether a number is an integer of at most 128 bits: it has no fraction, in any
/// notation (JSON Schema Validation 2020-12 section 6.1.1).
pub fn is_integer(number: &Number) -> bool {
    number.as_f64().is_some_and(is_writable)
}

/// Returns the number without a fraction of zero: 30 for 30.0, and 0 for -0.
pub fn whole(number: &Number) -> Number {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
            Number::from(float as i64)
        }
        _ => number.clone(),
    }
}

/// Serialises a value as JSON text.
#[expect(clippy::expect_used, reason = "JSON is serialised as UTF-8")]
pub fn text<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(to_vec(value)).expect("JSON is UTF-8")
}

/// Serialises a value as JSON bytes.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    write(value, &mut text);
    text
}

fn write<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) {
    let mut output = serde_json::Serializer::with_formatter(Appender(to), WithoutFractions);
    representable(value.serialize(&mut output));
}

/// Appends to JSON text, mostly one quotation mark, colon or comma, or a short name. For each,
/// `extend_from_slice` would leave the sandbox, since runtimes copy memory outside it.
struct Appender<'a>(&'a mut Vec<u8>);

/// The longest piece that is copied faster byte by byte.
const SHORT: usize = 12;

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    // Where the piece is a constant, nothing is left of this but one `push`.
    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes {
            [byte] => self.0.push(*byte),
            _ => self.append(bytes),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Appender<'_> {
    fn append(&mut self, bytes: &[u8]) {
        if bytes.len() > SHORT {
            return self.0.extend_from_slice(bytes);
        }
        for byte in bytes {
            self.0.push(*byte);
        }
    }
}

/// Writes JSON without fractions. There are none in any output of this service: the texts of
/// all fractions would take tables of 17 KB.
struct WithoutFractions;

impl Formatter for WithoutFractions {
    /// Writes `null` in the place of a fraction and of a number beyond 128 bits, as of one that
    /// JSON does not have.
    fn write_f64<W: Write + ?Sized>(&mut self, to: &mut W, number: f64) -> io::Result<()> {
        match is_writable(number) {
            true => write!(to, "{}.0", number as i128),
            false => self.write_null(to),
        }
    }
}

fn is_writable(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < MAX_WRITABLE
}

/// Converts a value into a JSON value.
pub fn to_value<T: Serialize>(value: T) -> Value {
    representable(serde_json::to_value(value))
}

#[expect(
    clippy::expect_used,
    reason = "serialisation fails only for maps whose keys are not strings, and no type of \
        this crate contains one"
)]
fn representable<T>(serialised: serde_json::Result<T>) -> T {
    serialised.expect("JSON can represent all types of this crate")
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

    // The default messages can show any value, including floats, which takes more code than
    // they are worth to a user.

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
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        Small,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "the fields are parsed, and never used")]
    struct Everything {
        #[serde(default)]
        u8: u8,
        #[serde(default)]
        u16: u16,
        #[serde(default)]
        u32: u32,
        #[serde(default)]
        u64: u64,
        #[serde(default)]
        i64: i64,
        #[serde(default)]
        f64: f64,
        #[serde(default)]
        bool: bool,
        #[serde(default)]
        text: String,
        #[serde(default)]
        list: Vec<u64>,
        #[serde(default)]
        map: Map<String, Value>,
        #[serde(default)]
        size: Option<Size>,
        #[serde(default)]
        inner: Option<Box<Everything>>,
    }

    fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Mismatch> {
        from_node(&value.into())
    }

    fn problem(given: &Value) -> String {
        from_value::<Everything>(given).unwrap_err().problem
    }

    #[test]
    fn type_errors_use_the_type_names_of_json() {
        let everything = [
            "u8", "u16", "u32", "u64", "i64", "f64", "bool", "text", "list", "map", "size", "inner",
        ];
        let values = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!("x"),
            json!([[]]),
            json!({"a": 1, "b": 2}),
        ];
        let rust = [
            "u8", "u16", "u32", "u64", "i64", "f64", "bool ", "a map", "sequence", "unit",
            "struct", "option", "enum", "tuple", "variant", "floating", "str,",
        ];
        for field in everything {
            for value in &values {
                let Err(mismatch) = from_value::<Everything>(&json!({ field: value })) else {
                    continue;
                };
                // Callers see this part.
                let (_, expected) = mismatch.problem.rsplit_once(", expected ").unwrap();
                let found = rust.iter().find(|word| expected.contains(*word));
                assert_eq!(found, None, "{field} {value}: {}", mismatch.problem);
            }
        }
        for (value, expected) in [
            (json!({"u64": "x"}), "an integer, 0 or more"),
            (json!({"u64": -1}), "an integer, 0 or more"),
            (json!({"u8": 256}), "an integer from 0 to 255"),
            (json!({"i64": 1.5}), "an integer"),
            (json!({"bool": 1}), "a boolean"),
            (json!({"text": 1}), "a string"),
            (json!({"list": {}}), "an array"),
            (json!({"map": []}), "an object"),
            (json!({"inner": 1}), "an object"),
            (json!({"size": 1}), "a string"),
            (json!({"size": "big"}), "`small`"),
        ] {
            let problem = problem(&value);
            let expected = format!(", expected {expected}");
            assert!(problem.ends_with(&expected), "{value}: {problem}");
        }
    }

    #[test]
    fn numbers_without_a_fraction_are_integers_in_every_notation() {
        for (text, integer) in [
            ("30", 30),
            ("30.0", 30),
            ("3e1", 30),
            ("300e-1", 30),
            ("-0", 0),
            ("-0.0", 0),
            ("9007199254740992.0", 9_007_199_254_740_992),
        ] {
            let read: u64 = from_slice(text.as_bytes()).unwrap();
            assert_eq!(read, integer, "{text}");
        }
        let below: i64 = from_slice(b"-30.0").unwrap();
        assert_eq!(below, -30);
        for text in [
            "30.5",
            "1e-1",
            "-1",
            "-1.0",
            "1e300",
            "18446744073709551616",
        ] {
            assert!(from_slice::<u64>(text.as_bytes()).is_err(), "{text}");
        }
        let fraction: f64 = from_slice(b"1.5").unwrap();
        assert_eq!(fraction, 1.5);
    }

    #[test]
    fn lone_surrogates_are_reported_differently_from_invalid_json() {
        for text in [
            r#"{"a": "\ud83d"}"#,
            r#"{"a": "\ud83d outside"}"#,
            r#"{"a": "\ud83d\n"}"#,
            r#"{"a": "\ud83d\ud83d"}"#,
            r#"{"a": "\ude42"}"#,
        ] {
            let error = parse(text.as_bytes()).err().unwrap();
            assert!(super::problem(&error).contains("surrogate"), "{text}");
        }
        let of = |text: &str| super::problem(&parse(text.as_bytes()).err().unwrap());
        assert_eq!(of("{"), "is not valid JSON");
        assert_eq!(of(r#""\u12""#), "is not valid JSON");
        assert_eq!(
            of(r#"{"a": 1, "a": 2}"#),
            "has two fields with the same name"
        );
    }
}
