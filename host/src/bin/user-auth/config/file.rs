//! Parses JSON or TOML into a tree that knows the positions of its keys.

use std::path::Path;

use jsonc_parser::{CollectOptions, ParseOptions, ast};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

/// A table with its entries, or any other value.
#[derive(Debug)]
pub(super) enum Node {
    Table(Vec<Entry>),
    Value(Value),
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) node: Node,
}

/// A position in a text; line and column are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The reason why a text is not valid JSON or TOML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Position,
    pub(super) reason: String,
}

impl Node {
    /// Returns the value, with tables as objects.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Table(entries) => entries
                .into_iter()
                .map(|entry| (entry.name, entry.node.into_value()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

/// Parses JSON or TOML, chosen by the suffix of the file name or else by the first
/// characters.
pub(super) fn parse(path: &Path, text: &str) -> Result<Node, SyntaxError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_json = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    if is_json { json(text) } else { toml(text) }
}

fn json(text: &str) -> Result<Node, SyntaxError> {
    // serde_json decides what is valid. The parser that knows positions also accepts
    // control characters in strings.
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let text = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        SyntaxError {
            at: Position {
                line: error.line().max(1),
                column: error.column().max(1),
            },
            reason: text.strip_suffix(&position).unwrap_or(&text).to_owned(),
        }
    })?;
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &STRICT);
    let parsed = parsed.map_err(|error| SyntaxError {
        at: position(text, error.range().start),
        reason: error.kind().to_string(),
    })?;
    match parsed.value {
        Some(tree) => json_node(tree, value, text),
        None => Ok(Node::Value(value)),
    }
}

/// JSON as in RFC 8259, with none of the extensions.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Returns `value` with the positions of the keys in `tree`, which is the same JSON.
fn json_node(tree: ast::Value<'_>, value: Value, text: &str) -> Result<Node, SyntaxError> {
    match (tree, value) {
        (ast::Value::Object(object), Value::Object(mut values)) => {
            let mut entries = Vec::with_capacity(object.properties.len());
            for property in object.properties {
                let at = position(text, property.range.start);
                let name = property.name.into_string();
                // Of several values with one name, the map has the last.
                let Some(value) = values.remove(&name) else {
                    let reason = format!("duplicate key `{name}`");
                    return Err(SyntaxError { at, reason });
                };
                let node = json_node(property.value, value, text)?;
                entries.push(Entry { name, at, node });
            }
            Ok(Node::Table(entries))
        }
        (ast::Value::Array(array), Value::Array(values)) => {
            let elements = array.elements.into_iter().zip(values);
            let elements: Result<Vec<Value>, SyntaxError> = elements
                .map(|(tree, value)| Ok(json_node(tree, value, text)?.into_value()))
                .collect();
            Ok(Node::Value(elements?.into()))
        }
        (_, value) => Ok(Node::Value(value)),
    }
}

fn toml(text: &str) -> Result<Node, SyntaxError> {
    match DeTable::parse(text) {
        Ok(table) => Ok(table_node(table.get_ref(), text)),
        Err(error) => Err(SyntaxError {
            at: position(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().trim_end().replace('\n', ", "),
        }),
    }
}

fn table_node(table: &DeTable<'_>, text: &str) -> Node {
    let entries = table.iter().map(|(name, value)| Entry {
        name: name.get_ref().to_string(),
        at: position(text, name.span().start),
        node: toml_node(value.get_ref(), text),
    });
    Node::Table(entries.collect())
}

fn toml_node(value: &DeValue<'_>, text: &str) -> Node {
    Node::Value(match value {
        DeValue::Table(table) => return table_node(table, text),
        DeValue::Array(elements) => elements
            .iter()
            .map(|element| toml_node(element.get_ref(), text).into_value())
            .collect(),
        DeValue::String(value) => value.as_ref().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            Err(_) => number.as_str().into(),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) => number.into(),
            Err(_) => number.as_str().into(),
        },
        DeValue::Datetime(moment) => moment.to_string().into(),
    })
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(node: &Node, path: &[&str]) -> (usize, usize) {
        let Node::Table(entries) = node else {
            panic!("no table at {path:?}");
        };
        let entry = entries.iter().find(|entry| entry.name == path[0]).unwrap();
        match path.len() {
            1 => (entry.at.line, entry.at.column),
            _ => at(&entry.node, &path[1..]),
        }
    }

    #[test]
    fn keys_have_their_positions() {
        let json = "{\n  \"é\\n\": {}, \"a\" : {\n\t\"b\":[1, {\"x\": 2}],\"c\":\"}\"},\r\n\"\\ud83d\\ude00\\/\": 1}\n";
        let node = parse(Path::new("x.json"), json).unwrap();
        assert_eq!(at(&node, &["é\n"]), (2, 3));
        assert_eq!(at(&node, &["a"]), (2, 14));
        assert_eq!(at(&node, &["a", "b"]), (3, 2));
        assert_eq!(at(&node, &["a", "c"]), (3, 20));
        assert_eq!(at(&node, &["😀/"]), (4, 1));

        let toml = "top = 1\n[a.b]\n  c = 0x10\n  d.\"e f\" = [1.5, 'x']\n";
        let node = parse(Path::new("x.toml"), toml).unwrap();
        assert_eq!(at(&node, &["top"]), (1, 1));
        assert_eq!(at(&node, &["a", "b"]), (2, 4));
        assert_eq!(at(&node, &["a", "b", "c"]), (3, 3));
        assert_eq!(at(&node, &["a", "b", "d", "e f"]), (4, 5));
        let value = node.into_value();
        assert_eq!(value["a"]["b"]["c"], 16);
        assert_eq!(value["a"]["b"]["d"]["e f"], serde_json::json!([1.5, "x"]));
    }

    #[test]
    fn without_a_known_suffix_the_text_determines_the_format() {
        for (name, text) in [
            ("x", "{\"a\": 1}"),
            ("x.conf", "a = 1"),
            ("x.JSON", "{\"a\":1}"),
        ] {
            let value = parse(Path::new(name), text).unwrap().into_value();
            assert_eq!(value, serde_json::json!({"a": 1}), "{name}");
        }
    }

    #[test]
    fn syntax_errors_have_positions() {
        for (name, text, line, column, reason) in [
            ("x.json", "{\n \"a\": 1,\n}", 3, 1, "trailing comma"),
            ("x.json", "{\"a\": 1} x", 1, 10, "trailing characters"),
            ("x.json", "{\"a\": 1, \"a\": 2}", 1, 10, "duplicate key `a`"),
            (
                "x.json",
                "[{\"a\": {},\n \"\\u0061\": 2}]",
                2,
                2,
                "duplicate key `a`",
            ),
            ("x.json", "{\"a\": \"\t\"}", 1, 8, "control character"),
            ("x.json", "{\"a\": 1} // a", 1, 10, "trailing characters"),
            ("x.json", "{\"a\": 01}", 1, 8, "invalid number"),
            ("x.json", "{'a': 1}", 1, 2, "key must be a string"),
            ("x.json", "", 1, 1, "EOF"),
            ("x.toml", "a = 1\nb = \n", 2, 5, "string values"),
            ("x.toml", "a = 1\na = 2\n", 2, 1, "duplicate key"),
        ] {
            let error = parse(Path::new(name), text).unwrap_err();
            assert_eq!(
                (error.at.line, error.at.column),
                (line, column),
                "{text}: {error:?}"
            );
            assert!(error.reason.contains(reason), "{text}: {error:?}");
        }
    }
}
