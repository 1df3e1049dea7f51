//! JSON as a tree that borrows its strings from the text that was parsed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Number, Value};

use super::quoted::MAX_VALUES;

/// Any JSON in which no object has two fields with the same name.
#[derive(Clone, Default)]
pub enum Node<'a> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object.
    Object(Fields<'a>),
}

/// The fields of an object, in the order of their names, which all differ.
#[derive(Clone, Default)]
pub struct Fields<'a>(Vec<(Name<'a>, Node<'a>)>);

/// The name of a field.
pub type Name<'a> = Cow<'a, str>;

impl<'a> Node<'a> {
    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the fields of an object.
    pub fn as_fields(&self) -> Option<&Fields<'a>> {
        match self {
            Node::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// Returns the field of an object with this name.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.as_fields()?.get(name)
    }

    /// Reports whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    /// Reports whether [`Node::into_fields`] accepts it as an object.
    pub fn has_fields(&self) -> bool {
        match self {
            Node::Null | Node::Object(_) => true,
            Node::List(items) => items.is_empty(),
            Node::Bool(_) | Node::Number(_) | Node::Text(_) => false,
        }
    }

    /// Returns the JSON that a string contains, or any other value as it is.
    pub fn unquoted(self) -> Node<'a> {
        let mut left = MAX_VALUES;
        let inner = match &self {
            Node::Text(text) => super::unquoted(text, &mut left),
            _ => None,
        };
        inner.unwrap_or(self)
    }

    /// Returns the same JSON with strings of its own.
    pub fn into_owned(self) -> Node<'static> {
        match self {
            Node::Null => Node::Null,
            Node::Bool(given) => Node::Bool(given),
            Node::Number(number) => Node::Number(number),
            Node::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Node::List(items) => Node::List(items.into_iter().map(Node::into_owned).collect()),
            Node::Object(Fields(fields)) => {
                let fields = fields.into_iter();
                let owned = fields.map(|(name, value)| {
                    let name = Cow::Owned(name.into_owned());
                    (name, value.into_owned())
                });
                Node::Object(Fields(owned.collect()))
            }
        }
    }

    /// Returns the fields of an object that a sender may omit, or `None` if it is not one.
    /// `null` and `[]` are objects without fields: languages that have one type for arrays
    /// and maps write an empty map as `[]`.
    pub fn into_fields(self) -> Option<Fields<'a>> {
        if !self.has_fields() {
            return None;
        }
        match self {
            Node::Object(fields) => Some(fields),
            _ => Some(Fields::default()),
        }
    }
}

impl<'a> Fields<'a> {
    /// An object without fields.
    pub const EMPTY: &'static Fields<'static> = &Fields(Vec::new());

    /// Returns the value of a field.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        Some(&self.0[self.index(name)?].1)
    }

    /// Reports whether there is a field with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Removes a field, and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<Node<'a>> {
        let index = self.index(name)?;
        Some(self.0.remove(index).1)
    }

    /// Keeps only the fields for which `keep` returns `true`.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Node<'a>) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Returns the names and the values, in the order of the names.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node<'a>)> {
        self.0.iter_mut().map(|(name, value)| (&**name, value))
    }

    /// Returns the names and the values, in the order of the names.
    pub fn as_slice(&self) -> &[(Name<'a>, Node<'a>)] {
        &self.0
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.0
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Node<'a> {
        Node::Text(text.into())
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Node<'a> {
        match value {
            Value::Null => Node::Null,
            Value::Bool(given) => Node::Bool(*given),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(text.into()),
            Value::Array(items) => Node::List(items.iter().map(Node::from).collect()),
            Value::Object(fields) => Node::Object(fields.into()),
        }
    }
}

impl<'a> From<&[(&'a str, &'a str)]> for Fields<'a> {
    /// Returns the fields with these names, which all differ, and texts.
    fn from(fields: &[(&'a str, &'a str)]) -> Fields<'a> {
        let fields = fields.iter();
        let fields = fields.map(|(name, text)| ((*name).into(), (*text).into()));
        let mut fields: Vec<(Name, Node)> = fields.collect();
        fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Fields(fields)
    }
}

impl<'a> From<&'a serde_json::Map<String, Value>> for Fields<'a> {
    fn from(fields: &'a serde_json::Map<String, Value>) -> Fields<'a> {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.into(), value.into()));
        let mut fields: Vec<(Name, Node)> = fields.collect();
        // A build of `serde_json` may keep the order in which they were inserted.
        fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Fields(fields)
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
                for (name, node) in fields.0 {
                    object.insert(name.into_owned(), node.into());
                }
                Value::Object(object)
            }
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => output.serialize_unit(),
            Node::Bool(given) => output.serialize_bool(*given),
            Node::Number(number) => number.serialize(output),
            Node::Text(text) => output.serialize_str(text),
            Node::List(items) => output.collect_seq(items),
            Node::Object(fields) => {
                output.collect_map(fields.0.iter().map(|(name, value)| (name, value)))
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
        // JSON has no numbers that are infinite or NaN.
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
            true => Err(A::Error::custom("two fields have the same name")),
            false => Ok(Node::Object(Fields(nodes))),
        }
    }
}

struct Key<'a>(Name<'a>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Key<'de>, D::Error> {
        match Node::deserialize(input)? {
            Node::Text(name) => Ok(Key(name)),
            _ => Err(D::Error::custom("the name of a field is a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json;

    #[test]
    fn fields_are_found_by_name_in_any_order_of_the_text() {
        let text = br#"{"b": "plain", "a": "escaped\n", "": 0, "ab": [{}]}"#;
        let Ok(Node::Object(mut fields)) = json::parse(text) else {
            panic!("it is an object");
        };
        assert_eq!(fields.get("b").and_then(Node::as_str), Some("plain"));
        assert!(matches!(
            fields.get("b"),
            Some(Node::Text(Cow::Borrowed(_)))
        ));
        assert_eq!(fields.get("a").and_then(Node::as_str), Some("escaped\n"));
        assert!(fields.contains("") && fields.contains("ab"));
        assert!(!fields.contains("aa") && !fields.contains("c"));
        let list = fields.remove("ab").map(Value::from);
        assert_eq!(list, Some(json!([{}])));
        assert!(fields.remove("ab").is_none());
        fields.retain(|name, _| name != "a");
        assert_eq!(json::text(&Node::Object(fields)), r#"{"":0,"b":"plain"}"#);
    }

    #[test]
    fn null_and_an_empty_array_are_objects_without_fields() {
        for (value, has_fields) in [
            (json!(null), true),
            (json!([]), true),
            (json!({}), true),
            (json!({"a": 1}), true),
            (json!([1]), false),
            (json!(""), false),
            (json!(0), false),
            (json!(false), false),
        ] {
            let node = Node::from(&value);
            assert_eq!(node.has_fields(), has_fields, "{value}");
            assert_eq!(node.into_fields().is_some(), has_fields, "{value}");
        }
    }
}
