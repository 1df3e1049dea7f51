//! Parses JSON or TOML into a tree that knows the positions of its keys.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
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
    let read = Cell::new(0);
    let mut input = serde_json::Deserializer::from_reader(Counted {
        rest: text.as_bytes(),
        read: &read,
    });
    let reader = Reader { text, read: &read };
    let node = reader.deserialize(&mut input);
    node.and_then(|node| input.end().map(|()| node))
        .map_err(|error| {
            let text = error.to_string();
            let position = format!(" at line {} column {}", error.line(), error.column());
            SyntaxError {
                at: Position {
                    line: error.line().max(1),
                    column: error.column().max(1),
                },
                reason: text.strip_suffix(&position).unwrap_or(&text).to_owned(),
            }
        })
}

/// Counts the bytes that are read. The parser reads one byte at a time, so the count is
/// its exact position.
struct Counted<'a> {
    rest: &'a [u8],
    read: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.rest.read(buffer)?;
        self.read.set(self.read.get() + length);
        Ok(length)
    }
}

/// Builds a [`Node`] from the parser's events.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    read: &'a Cell<usize>,
}

/// The same for a key, with its offset.
struct KeyReader<'a>(Reader<'a>);

impl<'de> DeserializeSeed<'de> for KeyReader<'_> {
    type Value = (String, usize);

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        // The opening quote of the key has already been read.
        let offset = self.0.read.get().saturating_sub(1);
        let name = <String as de::Deserialize>::deserialize(input)?;
        Ok((name, offset))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Node, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Value(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Value(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = input.next_element_seed(self)? {
            elements.push(element.into_value());
        }
        Ok(Node::Value(elements.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Node, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((name, offset)) = input.next_key_seed(KeyReader(self))? {
            if entries.iter().any(|entry| entry.name == name) {
                return Err(de::Error::custom(format!("duplicate key `{name}`")));
            }
            entries.push(Entry {
                name,
                at: position(self.text, offset),
                node: input.next_value_seed(self)?,
            });
        }
        Ok(Node::Table(entries))
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
        let json = "{\n  \"é\\n\": {}, \"a\" : {\n\t\"b\":[1, {\"x\": 2}],\"c\":\"}\"}}\n";
        let node = parse(Path::new("x.json"), json).unwrap();
        assert_eq!(at(&node, &["é\n"]), (2, 3));
        assert_eq!(at(&node, &["a"]), (2, 14));
        assert_eq!(at(&node, &["a", "b"]), (3, 2));
        assert_eq!(at(&node, &["a", "c"]), (3, 20));

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
            ("x.json", "{\"a\": 1, \"a\": 2}", 1, 13, "duplicate key `a`"),
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
