//! JSON text inside a string of JSON, which some senders write where an object, an array, a
//! number or a boolean is expected.

use super::node::Node;

/// Maximum number of values in a text. No sensible request has so many, and parsed they
/// would take many times the memory of their text.
pub const MAX_VALUES: usize = 20_000;

/// Returns whether a JSON text has more than [`MAX_VALUES`] values, without parsing it.
pub fn has_too_many_values(text: &[u8]) -> bool {
    // Each value takes a byte or more.
    text.len() > MAX_VALUES && values(text) > MAX_VALUES
}

/// Parses the JSON in a string, or returns `None` if it is not valid JSON or has more than
/// `left` values. Those that it has are subtracted.
///
/// The limit of a message does not count them, since they are one string there.
pub fn unquoted(text: &str, left: &mut usize) -> Option<Node<'static>> {
    *left = left.checked_sub(values(text.as_bytes()))?;
    super::parse(text.as_bytes()).ok().map(Node::into_owned)
}

/// Returns the number of values in a JSON text, the text itself not counted.
fn values(text: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_values_of_all_strings_together_are_limited() {
        let mut left = 6;
        let list = unquoted("[1, 2, \"a,b\"]", &mut left).map(Value::from);
        assert_eq!(list, Some(json!([1, 2, "a,b"])));
        assert_eq!(left, 3);
        assert!(unquoted("[[[]]]", &mut left).is_some());
        assert!(unquoted("[]", &mut left).is_none());
        assert!(unquoted("7", &mut left).is_some());
    }

    #[test]
    fn text_that_is_no_json_is_not_read() {
        for text in [
            "",
            "x",
            "[1",
            "{'a': 1}",
            "1 2",
            "True",
            "{\"a\": 1, \"a\": 2}",
        ] {
            let mut left = MAX_VALUES;
            assert!(unquoted(text, &mut left).is_none(), "{text}");
        }
    }
}
