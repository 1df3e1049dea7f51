//! JSON as a tree that borrows its texts from what it was read from.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Any JSON in which no object has two fields of one name.
pub enum Node<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order of the names.
    Object(Vec<(Name<'a>, Node<'a>)>),
}

/// The name of a field.
pub type Name<'a> = Cow<'a, str>;

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Node<'a> {
        match value {
            Value::Null => Node::Null,
            Value::Bool(given) => Node::Bool(*given),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(text.into()),
            Value::Array(items) => Node::List(items.iter().map(Node::from).collect()),
            Value::Object(fields) => {
                let fields = fields.iter();
                Node::Object(
                    fields
                        .map(|(name, value)| (name.into(), value.into()))
                        .collect(),
                )
            }
        }
    }
}

impl From<Node<'_>> for Value {
    fn from(node: Node) -> Value {
        match node {
            Node::Null => Value::Null,
            Node::Bool(given) => given.into(),
            Node::Number(number) => Value::Number(number),
            Node::Text(text) => text.into_owned().into(),
            Node::List(items) => Value::Array(items.into_iter().map(Value::from).collect()),
            Node::Object(fields) => {
                let mut object = serde_json::Map::new();
                for (name, node) in fields {
                    object.insert(name.into_owned(), node.into());
                }
                Value::Object(object)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Node<'de>, D::Error> {
        input.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, given: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(given))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node<'de>, E> {
        // JSON text has no number that is none.
        Ok(Number::from_f64(number).map_or(Node::Null, Node::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node<'de>, A::Error> {
        let mut nodes: Vec<(Name, Node)> = Vec::new();
        while let Some(Key(name)) = fields.next_key()? {
            nodes.push((name, fields.next_value()?));
        }
        nodes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        match nodes.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            true => Err(A::Error::custom("a field is there twice")),
            false => Ok(Node::Object(nodes)),
        }
    }
}

struct Key<'a>(Name<'a>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Key<'de>, D::Error> {
        match Node::deserialize(input)? {
            Node::Text(name) => Ok(Key(name)),
            _ => Err(D::Error::custom("the name of a field is a text")),
        }
    }
}
