//! Formats the result of a call for people.

use serde_json::{Map, Value};

use super::table::table;
use crate::catalog::Operation;
use crate::output::{self, Screen};

/// The field of a list page that says where the next page begins, and the input field
/// that takes its value.
const NEXT: &str = "next";
const AFTER: &str = "after";

/// Returns an output with its lists as tables, and everything else as lines.
pub(crate) fn for_people(output: Value, operation: &Operation, screen: Screen) -> String {
    let Value::Object(mut rest) = output else {
        return format!("{}\n", output::inline(&output));
    };
    let next = match operation.field(AFTER) {
        Some(_) => rest.remove(NEXT),
        None => None,
    };
    let lists: Vec<(String, Value)> = take(&mut rest, is_table);
    // A picture comes last, so that it is not scrolled away.
    let pictures: Vec<(String, Value)> = take(&mut rest, is_picture);
    let mut parts = Vec::new();
    let lines = |object: &Map<String, Value>| screen.lines(object, "");
    let rest = if rest.is_empty() {
        None
    } else {
        Some(lines(&rest))
    };
    match (lists.as_slice(), rest) {
        ([(_, list)], None) => parts.push(rows(list, screen)),
        (lists, rest) => {
            parts.extend(rest);
            parts.extend(lists.iter().map(|(name, list)| {
                let name = screen.bold(&output::printable(name));
                format!("{name}\n{}", rows(list, screen))
            }));
        }
    }
    for (name, picture) in pictures {
        parts.push(match picture {
            Value::String(picture) => painted(&picture, screen),
            other => lines(&Map::from_iter([(name, other)])),
        });
    }
    if let Some(Value::String(next)) = next {
        let next = output::printable(&next);
        parts.push(format!("There are more; continue with {AFTER}={next}\n"));
    }
    parts.join("\n")
}

fn take(object: &mut Map<String, Value>, is_wanted: fn(&Value) -> bool) -> Vec<(String, Value)> {
    let names: Vec<String> = object
        .iter()
        .filter(|(_, value)| is_wanted(value))
        .map(|(name, _)| name.clone())
        .collect();
    let take = |name: String| object.remove(&name).map(|value| (name, value));
    names.into_iter().filter_map(take).collect()
}

/// Returns whether the value is a list of objects.
fn is_table(value: &Value) -> bool {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    !items.is_empty() && items.iter().all(Value::is_object)
}

/// Returns whether the value is text drawn with blocks, such as a QR code.
fn is_picture(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.contains('\n') && text.chars().all(|character| " \n▀▄█".contains(character))
}

fn rows(list: &Value, screen: Screen) -> String {
    let items = list.as_array().into_iter().flatten();
    let rows: Vec<_> = items.filter_map(Value::as_object).collect();
    table(&rows, screen)
}

/// Paints light on dark, whatever the colours of the terminal: not every QR code reader
/// accepts inverted codes.
fn painted(picture: &str, screen: Screen) -> String {
    let lines = picture.lines().map(|line| {
        if screen.has_colour {
            format!("\x1b[97;40m{line}\x1b[0m\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::tests::operation;

    const SCREEN: Screen = Screen {
        width: Some(80),
        has_colour: false,
    };

    fn shown(output: Value, input_schema: Value) -> String {
        for_people(output, &operation("any", input_schema), SCREEN)
    }

    #[test]
    fn a_page_is_a_table_with_a_hint_to_continue() {
        let pages = json!({"properties": {"after": {"type": "string"}}});
        let page = json!({"users": [{"username": "a"}, {"username": "b"}], "next": "x"});
        assert_eq!(
            shown(page, pages.clone()),
            "username\n--------\na\nb\n\nThere are more; continue with after=x\n"
        );
        assert_eq!(shown(json!({"users": []}), pages), "users: none\n");
        let other = json!({"next": "x"});
        assert_eq!(shown(other, json!({})), "next: x\n");
    }

    #[test]
    fn several_lists_have_headings_and_follow_the_lines() {
        let output = json!({"a": [{"x": 1}], "b": [{"y": 2}], "z": 3});
        assert_eq!(
            shown(output, json!({})),
            "z: 3\n\na\nx\n-\n1\n\nb\ny\n-\n2\n"
        );
        let output = json!({"a": [{"x": 1}], "z": 3});
        assert_eq!(shown(output, json!({})), "z: 3\n\na\nx\n-\n1\n");
    }

    #[test]
    fn a_picture_comes_last_and_is_painted_on_colour_terminals() {
        let output = json!({"qr": "▀▄\n▄▀", "secret": "ABC"});
        let plain = shown(output.clone(), json!({}));
        assert_eq!(plain, "secret: ABC\n\n▀▄\n▄▀\n");
        let screen = Screen {
            has_colour: true,
            ..SCREEN
        };
        let text = for_people(output, &operation("any", json!({})), screen);
        assert!(text.ends_with("\x1b[97;40m▀▄\x1b[0m\n\x1b[97;40m▄▀\x1b[0m\n"));
    }
}
