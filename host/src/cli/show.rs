//! Values on a terminal.

use std::env;
use std::io::{self, Write as _};

use serde_json::{Map, Value};
use user_auth_host::printable;

use super::Failure;

/// Whether to use colours on a terminal: see <https://no-color.org>.
pub(super) fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes to standard output. A reader that has seen enough is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::start(format!(
            "the output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes to standard error. There is nobody to tell when that fails.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// An object as aligned `key: value` lines, each after `indent`.
pub(super) fn lines(object: &Map<String, Value>, indent: &str, colour: bool) -> String {
    let width = object.keys().map(|key| key.chars().count()).max();
    let width = width.unwrap_or_default() + 1;
    object
        .iter()
        .map(|(key, value)| {
            let key = format!("{}:", printable(key));
            let value = text(value, indent);
            match colour {
                true => format!("{indent}\x1b[1m{key:<width$}\x1b[0m {value}\n"),
                false => format!("{indent}{key:<width$} {value}\n"),
            }
        })
        .collect()
}

fn text(value: &Value, indent: &str) -> String {
    match value {
        Value::String(text) if text.contains('\n') => {
            let lines = text.split('\n').map(printable);
            lines.fold(String::new(), |shown, line| {
                format!("{shown}\n{indent}  {line}")
            })
        }
        Value::String(text) => printable(text),
        Value::Array(_) | Value::Object(_) => {
            let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
            printable_lines(&pretty).replace('\n', &format!("\n{indent}  "))
        }
        other => other.to_string(),
    }
}

/// What deceives is escaped: a registered name must not be able to move
/// the cursor of who looks at it, or to be read as another.
pub(super) fn printable(text: &str) -> String {
    printable::printable(text).into_owned()
}

/// A line of JSON for programs, which may show it as it is.
pub(super) fn json_line(json: &str) -> String {
    format!("{}\n", printable::printable_json(json))
}

/// The same for a text of several lines, which stay lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_shown_as_aligned_lines() {
        let object = json!({"a": 1, "long": "x\u{1b}[2J\u{2028}", "list": ["b\nc\u{202e}"]});
        let object = object.as_object().unwrap();
        assert_eq!(
            lines(object, "", false),
            "a:    1\nlist: [\n    \"b\\nc\\u{202e}\"\n  ]\nlong: x\\u{1b}[2J\\u{2028}\n"
        );
    }

    #[test]
    fn a_picture_of_several_lines_is_shown_below_its_name() {
        let object = json!({"qr": "▀▄\n▄▀"});
        let object = object.as_object().unwrap();
        assert_eq!(lines(object, "", false), "qr: \n  ▀▄\n  ▄▀\n");
    }
}
