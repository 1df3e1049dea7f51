//! The next step after an error, as a command for a shell. Errors name it as a tool of MCP.

use serde_json::{Map, Value};

use crate::output;

/// The prefix of MCP tools, which have the name of their operation after it.
const TOOL_PREFIX: &str = "user-auth_";

/// Returns the command for a step `{tool, arguments}`, or `None` if it is no operation.
pub(super) fn command(step: &Value) -> Option<String> {
    let operation = step["tool"].as_str()?.strip_prefix(TOOL_PREFIX)?;
    let no_arguments = Map::new();
    let arguments = step["arguments"].as_object().unwrap_or(&no_arguments);
    let pairs = arguments.iter().map(|(name, value)| pair(name, value));
    let words = ["user-auth", "call", operation].into_iter().map(quoted);
    let words: Vec<String> = words.chain(pairs.map(|pair| quoted(&pair))).collect();
    Some(output::printable(&words.join(" ")))
}

fn pair(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}:={other}"),
    }
}

/// Returns a word as POSIX shells read it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-=:.,@/+%".contains(c);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_is_a_command_with_quoted_values() {
        for (arguments, expected) in [
            (json!({}), "user-auth call list_users"),
            (
                json!({"search": "nobody@example.com"}),
                "user-auth call list_users search=nobody@example.com",
            ),
            (
                json!({"search": "it's $HOME"}),
                r"user-auth call list_users 'search=it'\''s $HOME'",
            ),
            (json!({"limit": 5}), "user-auth call list_users limit:=5"),
            (
                json!({"search": "a\u{202e}b"}),
                r"user-auth call list_users 'search=a\u{202e}b'",
            ),
        ] {
            let step = json!({"tool": "user-auth_list_users", "arguments": arguments});
            assert_eq!(command(&step).as_deref(), Some(expected));
        }
        let step = json!({"tool": "user-auth_login"});
        assert_eq!(command(&step).as_deref(), Some("user-auth call login"));
    }

    #[test]
    fn a_tool_of_another_service_is_no_command() {
        for step in [
            json!({"tool": "other_login", "arguments": {}}),
            json!({}),
            json!("user-auth_login"),
        ] {
            assert_eq!(command(&step), None, "{step}");
        }
    }
}
