//! Adapts an input that does not fit its type, where the sender's meaning is clear: `null`
//! for a field that is left out, and JSON text in a string where an object, an array, a
//! number or a boolean is expected.
//!
//! Fields that may be strings are left as they are, so that no secret and no identifier
//! changes its meaning.

use serde_json::Value;

use super::schemas::{allows, alternatives, required};
use crate::json::{self, Node};

/// Adapts an input with this schema.
pub fn adapt(input: &mut Node, schema: &Value) {
    let mut left = json::MAX_VALUES;
    adapt_within(input, schema, &mut left);
}

/// `left` is how many values may still be read from strings.
fn adapt_within(input: &mut Node, schema: &Value, left: &mut usize) {
    if let Node::Text(text) = input
        && let Some(meant) = unquoted(text, schema, left)
    {
        *input = meant;
    }
    match input {
        Node::Object(fields) => {
            let declared = &schema["properties"];
            let required = required(schema);
            // Null in a required or an unknown field stays, and is reported.
            let is_optional = |name: &str| !declared[name].is_null() && !required.contains(&name);
            fields.retain(|name, value| !(value.is_null() && is_optional(name)));
            for (name, value) in fields.iter_mut() {
                adapt_within(value, &declared[name], left);
            }
        }
        Node::List(items) => {
            for item in items {
                adapt_within(item, &schema["items"], left);
            }
        }
        _ => {}
    }
}

/// Returns the JSON in a string, if it is of the type that the schema requires.
fn unquoted(text: &str, schema: &Value, left: &mut usize) -> Option<Node<'static>> {
    let is_quotable = ["object", "array", "integer", "number", "boolean"];
    if accepts(schema, "string") || !is_quotable.iter().any(|kind| accepts(schema, kind)) {
        return None;
    }
    let meant = json::unquoted(text, left)?;
    let is_expected = match &meant {
        Node::Object(_) => accepts(schema, "object"),
        Node::List(_) => accepts(schema, "array"),
        Node::Number(_) => accepts(schema, "integer") || accepts(schema, "number"),
        Node::Bool(_) => accepts(schema, "boolean"),
        Node::Null | Node::Text(_) => false,
    };
    is_expected.then_some(meant)
}

fn accepts(schema: &Value, kind: &str) -> bool {
    allows(schema, kind) || alternatives(schema).any(|schema| accepts(schema, kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn adapted(input: &Value, schema: &Value) -> Value {
        let mut node = Node::from(input);
        adapt(&mut node, schema);
        node.into()
    }

    #[test]
    fn json_in_a_string_is_read_where_another_type_is_expected() {
        for (kind, text, meant) in [
            ("integer", "30", json!(30)),
            ("integer", " 30.0 ", json!(30.0)),
            ("integer", "-1", json!(-1)),
            ("number", "1.5", json!(1.5)),
            ("boolean", "true", json!(true)),
            ("array", "[\"a\", \"1\"]", json!(["a", "1"])),
            ("object", "{\"a\": \"1\"}", json!({"a": "1"})),
        ] {
            for types in [json!(kind), json!([kind, "null"])] {
                assert_eq!(adapted(&json!(text), &json!({"type": types})), meant);
            }
        }
    }

    #[test]
    fn strings_that_are_something_else_stay() {
        for (kind, text) in [
            ("integer", ""),
            ("integer", "ten"),
            ("integer", "true"),
            ("integer", "[1]"),
            ("integer", "null"),
            ("boolean", "True"),
            ("boolean", "yes"),
            ("boolean", "1"),
            ("array", "a, b"),
            ("array", "{}"),
            ("array", "\"[1]\""),
            ("object", "[]"),
            ("object", "null"),
            ("object", "{\"a\": 1, \"a\": 2}"),
        ] {
            let text = json!(text);
            assert_eq!(adapted(&text, &json!({"type": kind})), text, "{kind}");
        }
    }

    #[test]
    fn a_field_that_may_be_a_string_is_never_read_as_something_else() {
        let words = json!({"oneOf": [{"const": "1", "type": "string"}]});
        for schema in [
            json!({"type": "string"}),
            json!({"type": ["string", "null"]}),
            json!({"type": ["string", "integer"]}),
            json!({"anyOf": [words, {"type": "null"}]}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            words,
            json!({}),
            json!(true),
        ] {
            for text in ["1", "true", "[1]", "{\"a\": 1}", "null"] {
                let text = json!(text);
                assert_eq!(adapted(&text, &schema), text, "{schema}");
            }
        }
    }

    #[test]
    fn what_a_string_contains_is_adapted_too() {
        let schema = json!({"type": "object", "required": ["list"], "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "days": {"type": ["integer", "null"]},
                "name": {"type": "string"},
            }}},
        }});
        let inner = json!([{"days": "7", "name": "7"}, {"days": null, "name": "{}"}]);
        let list = json!({"list": inner.to_string()});
        let meant = json!({"list": [{"days": 7, "name": "7"}, {"name": "{}"}]});
        assert_eq!(adapted(&list, &schema), meant);
        assert_eq!(adapted(&json!(list.to_string()), &schema), meant);
        let null = json!({"list": null, "other": null});
        assert_eq!(adapted(&null, &schema), null);
    }
}
