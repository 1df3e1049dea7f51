//! Output at a terminal: values, tables, help, progress and the log. The commands decide
//! what is shown, and this module how.

pub(crate) mod answer;
pub(crate) mod help;
pub(crate) mod logging;
pub(crate) mod progress;
pub(crate) mod table;

use std::env;
use std::io::{self, IsTerminal, Write as _};
#[cfg(unix)]
use std::os::fd::AsFd as Handle;
#[cfg(windows)]
use std::os::windows::io::AsHandle as Handle;

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;
use user_auth_host::printable;

use self::table::wrapped;
use crate::failure::Failure;

/// Width of a terminal that does not report its size.
const USUAL_WIDTH: usize = 80;
/// Maximum number of characters in a list that is shown on one line.
const SHORT: usize = 60;
/// Number of elements beyond which a list is shown as a paragraph, since lines would
/// fill a screen.
const MANY: usize = 20;

/// Returns whether to use colours on a terminal: see <https://no-color.org>.
pub(super) fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes to standard output. A reader that closes it early is not a failure.
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

/// Writes to standard error. A failure cannot be reported anywhere.
pub(super) fn print_error(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The properties of an output stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// Width in columns, or `None` if it is not a terminal, so that lines may have any
    /// length.
    pub(super) width: Option<usize>,
    pub(super) has_colour: bool,
}

impl Screen {
    /// Returns the properties of standard output.
    pub(super) fn of_output() -> Self {
        Self::of(&io::stdout())
    }

    /// Returns the properties of standard error.
    pub(super) fn of_errors() -> Self {
        Self::of(&io::stderr())
    }

    #[cfg(any(unix, windows))]
    fn of<S: IsTerminal + Handle>(stream: &S) -> Self {
        let is_terminal = stream.is_terminal();
        let size = terminal_size::terminal_size_of(stream);
        let width = size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
        Self {
            width: is_terminal.then_some(width),
            has_colour: is_terminal && wants_colour(),
        }
    }

    /// Returns a text in bold, if colours are used.
    pub(super) fn bold(self, text: &str) -> String {
        if self.has_colour {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Returns an object as aligned `key: value` lines of any length, each after `indent`.
pub(super) fn lines(object: &Map<String, Value>, indent: &str, colour: bool) -> String {
    let screen = Screen {
        width: None,
        has_colour: colour,
    };
    screen.lines(object, indent)
}

impl Screen {
    /// Returns the same lines, with prose wrapped at words to the width of the screen.
    /// Words stay whole, so that they can be copied.
    pub(super) fn lines(self, object: &Map<String, Value>, indent: &str) -> String {
        let width = object.keys().map(|key| printable(key).width()).max();
        let width = width.unwrap_or_default() + 1;
        object
            .iter()
            .map(|(key, value)| {
                let key = format!("{}:", printable(key));
                let padding = " ".repeat(width.saturating_sub(key.width()));
                let key = format!("{indent}{}", self.bold(&key));
                match Shown::of(value) {
                    Shown::Inline(text) => {
                        let text = self.hanging(text, indent.len() + width + 1);
                        format!("{key}{padding} {text}\n")
                    }
                    Shown::Lines(lines) => {
                        let line = |line: String| {
                            let line = self.hanging(line, indent.len() + 2);
                            format!("{indent}  {line}\n")
                        };
                        let lines = lines.into_iter().map(line);
                        format!("{key}\n{}", lines.collect::<String>())
                    }
                    Shown::Object(object) => {
                        let inner = self.lines(object, &format!("{indent}  "));
                        format!("{key}\n{inner}")
                    }
                }
            })
            .collect()
    }

    /// Returns a text with its long lines wrapped at words.
    pub(super) fn wrapped(self, text: &str) -> String {
        let lines = text.split('\n');
        let lines = lines.map(|line| self.hanging(line.to_owned(), 0));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns a text with all its lines starting at this column, of which the first is
    /// already there.
    fn hanging(self, text: String, column: usize) -> String {
        let room = match self.width {
            Some(width) => width.saturating_sub(column),
            None => return text,
        };
        let longest = text.split(' ').map(|word| word.width()).max();
        if text.width() <= room || longest.unwrap_or_default() > room {
            return text;
        }
        let lines = wrapped(&text, Some(room));
        let lines: Vec<&str> = lines.lines().collect();
        lines.join(&format!("\n{}", " ".repeat(column)))
    }
}

/// The form of a value: behind its key, or below it.
enum Shown<'a> {
    Inline(String),
    Lines(Vec<String>),
    Object(&'a Map<String, Value>),
}

impl Shown<'_> {
    fn of(value: &Value) -> Shown<'_> {
        match value {
            Value::String(text) if text.contains('\n') => {
                Shown::Lines(text.split('\n').map(printable).collect())
            }
            Value::Object(object) if !object.is_empty() => Shown::Object(object),
            Value::Array(items) if items.iter().all(is_scalar) => {
                let items: Vec<String> = items.iter().map(inline).collect();
                // A long value is easier to copy from a line of its own.
                match items.iter().map(String::len).sum::<usize>() {
                    0 => Shown::Inline("none".to_owned()),
                    1..=SHORT => Shown::Inline(items.join(", ")),
                    _ if items.len() > MANY => Shown::Inline(items.join(", ")),
                    _ => Shown::Lines(items),
                }
            }
            Value::Array(items) => Shown::Lines(items.iter().map(item).collect()),
            scalar => Shown::Inline(inline(scalar)),
        }
    }
}

/// Returns an element of a list as text of one line. A pair of texts, such as a field
/// and its problem, is joined by a colon.
fn item(value: &Value) -> String {
    let values = value.as_object().map(|fields| fields.values());
    let values: Vec<&Value> = values.into_iter().flatten().collect();
    match values.as_slice() {
        [Value::String(first), Value::String(second)] => {
            format!("{}: {}", printable(first), printable(second))
        }
        _ => inline(value),
    }
}

/// Returns a value as text of one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            items.join(", ")
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let name = printable(name);
                format!("{name}={}", inline(value))
            });
            fields.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

pub(super) fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// Escapes deceptive characters: a registered name must not be able to move the cursor
/// of its viewer, or to be read as another.
pub(super) fn printable(text: &str) -> String {
    printable::printable(text).into_owned()
}

/// Returns a line of JSON with deceptive characters escaped, for programs that may
/// display it.
pub(super) fn json_line(json: &str) -> String {
    format!("{}\n", printable::printable_json(json))
}

/// Escapes a text of several lines, which stay separate lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines_of(value: Value) -> String {
        lines(value.as_object().unwrap(), "", false)
    }

    #[test]
    fn an_object_is_displayed_as_aligned_lines() {
        let object = json!({
            "a": 1, "long": "x\u{1b}[2J\u{2028}", "list": ["b\nc", "d\u{202e}"], "no": null, "o": [],
        });
        assert_eq!(
            lines_of(object),
            "a:    1\nlist: b\\nc, d\\u{202e}\nlong: x\\u{1b}[2J\\u{2028}\nno:   none\no:    none\n"
        );
        let nested = json!({"名前": {"b": true, "list": [{"c": 1}, {"c": 2, "d": "e"}]}, "z": 1});
        assert_eq!(
            lines_of(nested),
            "z:    1\n名前:\n  b:    true\n  list:\n    c=1\n    c=2 d=e\n"
        );
    }

    #[test]
    fn long_values_have_lines_of_their_own() {
        let object = json!({"qr": "▀▄\n▄▀", "token": "x".repeat(500)});
        let token = "x".repeat(500);
        assert_eq!(
            lines_of(object),
            format!("qr:\n  ▀▄\n  ▄▀\ntoken: {token}\n")
        );
        let codes = json!({"codes": ["a".repeat(35), "b".repeat(35)]});
        let (a, b) = ("a".repeat(35), "b".repeat(35));
        assert_eq!(lines_of(codes), format!("codes:\n  {a}\n  {b}\n"));
        let names = json!({"names": vec!["abcd"; 21]});
        assert_eq!(lines_of(names).lines().count(), 1);
    }

    #[test]
    fn prose_is_wrapped_with_an_indent_and_long_words_stay_whole() {
        let screen = Screen {
            width: Some(20),
            has_colour: false,
        };
        let long = "x".repeat(30);
        let object = json!({"a": {"note": "one two three four"}, "token": long});
        assert_eq!(
            screen.lines(object.as_object().unwrap(), ""),
            format!("a:\n  note: one two\n        three four\ntoken: {long}\n")
        );
        let fields = json!({"fields": [{"path": "$.name", "problem": "is not known here"}]});
        assert_eq!(
            screen.lines(fields.as_object().unwrap(), ""),
            "fields:\n  $.name: is not\n  known here\n"
        );
        assert_eq!(
            screen.wrapped("error: one two three four\nfive"),
            "error: one two three\nfour\nfive"
        );
    }
}
