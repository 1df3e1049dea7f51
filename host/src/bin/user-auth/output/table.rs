//! Displays lists as tables.

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, TableComponent, Width};
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;

use crate::output::{Screen, inline, is_scalar, printable};

/// The most useful columns, in their order; others follow by name.
const FIRST: [&str; 19] = [
    "session_id",
    "key_id",
    "kid",
    "at",
    "username",
    "role",
    "name",
    "current",
    "operation",
    "actor",
    "outcome",
    "user_id",
    "status",
    "email",
    "roles",
    "permissions",
    "scopes",
    "auth_time",
    "created_at",
];

/// Columns without which a row says little: to fit them, times and long names may take
/// several lines.
const ESSENTIAL: [&str; 4] = ["at", "operation", "actor", "outcome"];

/// Number of spaces between two columns.
const GAP: usize = 2;
/// Minimum width to which prose is wrapped, unless its longest word is wider.
const PROSE: usize = 16;
/// Length beyond which words are broken.
const LONGEST_WORD: usize = 40;
/// The same for names in essential columns, broken at their separators, when there is
/// no room.
const LONGEST_PART: usize = 16;

/// Formats rows of columns without a header, each column but the last as wide as its
/// longest cell, after an indent.
pub(crate) fn grid<const N: usize>(
    rows: &[[String; N]],
    indent: &str,
    width: Option<usize>,
) -> String {
    let mut table = plain(width.map(|width| width.saturating_sub(indent.len())));
    for row in rows {
        table.add_row(row);
    }
    let last = N.saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        let gap = if index == last { 0 } else { GAP as u16 };
        column.set_padding((0, gap));
        if index != last {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let text = table.trim_fmt();
    text.lines()
        .map(|line| format!("{indent}{line}\n"))
        .collect()
}

/// Wraps a text at words.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let mut table = plain(width);
    table.add_row([text]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 0));
    }
    format!("{}\n", table.trim_fmt())
}

/// Returns a table without lines.
fn plain(width: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    match width.and_then(|width| u16::try_from(width).ok()) {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

/// Formats rows that are objects, with a column for each field that fits on the screen,
/// and a line that names the others.
pub(crate) fn table(rows: &[&Map<String, Value>], screen: Screen) -> String {
    let columns = columns(rows);
    let (mut shown, mut hidden) = fitting(&columns, screen.width, |column| column.least_width);
    let is_narrow = hidden.iter().any(|name| ESSENTIAL.contains(name));
    if is_narrow {
        (shown, hidden) = fitting(&columns, screen.width, |column| column.narrow_width);
    }
    if shown.len() < 2 && columns.len() > 1 {
        return blocks(rows, screen);
    }
    let mut table = plain(screen.width);
    table.set_style(TableComponent::HeaderLines, '-');
    table.set_header(shown.iter().map(|column| column.title()));
    for row in 0..rows.len() {
        table.add_row(shown.iter().map(|column| {
            if is_narrow {
                &column.narrow_cells[row]
            } else {
                &column.cells[row]
            }
        }));
    }
    let last = shown.len().saturating_sub(1);
    for (index, (made, column)) in table.column_iter_mut().zip(&shown).enumerate() {
        let gap = if index == last { 0 } else { GAP as u16 };
        made.set_padding((0, gap));
        let least = if is_narrow {
            column.narrow_width
        } else {
            column.least_width
        };
        let least = least as u16 + gap;
        made.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    let mut text = String::new();
    let mut is_header = true;
    for line in table.trim_fmt().lines() {
        is_header &= !line.starts_with('-');
        text += &if is_header {
            screen.bold(line)
        } else {
            line.to_owned()
        };
        text.push('\n');
    }
    if !hidden.is_empty() {
        let hidden = format!(
            "(not shown: {}; `--output json` shows all)",
            hidden.join(", ")
        );
        text += &wrapped(&hidden, screen.width);
    }
    text
}

/// Formats each row as separate lines, for a narrow screen.
fn blocks(rows: &[&Map<String, Value>], screen: Screen) -> String {
    let blocks = rows.iter().map(|row| screen.lines(row, ""));
    blocks.collect::<Vec<_>>().join("\n")
}

struct Column {
    name: String,
    cells: Vec<String>,
    /// The cells with names in several lines, if the column is essential.
    narrow_cells: Vec<String>,
    /// Width below which the column is not worth showing.
    least_width: usize,
    /// The same with the narrow cells.
    narrow_width: usize,
    /// Whether the values contain nested objects, which do not fit into a cell.
    is_nested: bool,
}

impl Column {
    fn of(name: &str, rows: &[&Map<String, Value>]) -> Column {
        let values = || rows.iter().map(|row| row.get(name).unwrap_or(&Value::Null));
        let cells: Vec<String> = values().map(cell).collect();
        let narrow_cells = if ESSENTIAL.contains(&name) {
            cells.iter().map(|cell| folded(cell)).collect()
        } else {
            cells.clone()
        };
        let mut column = Column {
            name: printable(name),
            cells,
            narrow_cells,
            least_width: 0,
            narrow_width: 0,
            is_nested: values().any(is_nested),
        };
        let title = column.title();
        let longest = |cells: &[String]| {
            let words = cells.iter().map(|cell| longest_word(cell));
            words.chain([longest_word(&title)]).max().unwrap_or(0)
        };
        column.narrow_width = longest(&column.narrow_cells);
        let word_width = longest(&column.cells);
        let widths = column.cells.iter().map(|cell| cell.width());
        let width = widths.max().unwrap_or(0);
        let is_time = column.cells.iter().any(|cell| is_time(cell));
        column.least_width = word_width.max(if is_time { width } else { width.min(PROSE) });
        column
    }

    /// Returns the name in words, which can be wrapped.
    fn title(&self) -> String {
        self.name.replace('_', " ")
    }
}

fn columns(rows: &[&Map<String, Value>]) -> Vec<Column> {
    let mut names: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.keys())
        .map(String::as_str)
        .collect();
    let rank = |name: &str| FIRST.iter().position(|first| *first == name);
    names.sort_unstable_by_key(|name| (rank(name).unwrap_or(FIRST.len()), *name));
    names.dedup();
    names
        .into_iter()
        .map(|name| Column::of(name, rows))
        .collect()
}

/// Splits the columns into those that fit, and the names of the others.
fn fitting(
    columns: &[Column],
    width: Option<usize>,
    least_width: fn(&Column) -> usize,
) -> (Vec<&Column>, Vec<&str>) {
    let mut room = width.unwrap_or(usize::MAX).saturating_add(GAP);
    let (shown, hidden): (Vec<&Column>, Vec<&Column>) = columns.iter().partition(|column| {
        let wanted = least_width(column) + GAP;
        let fits = wanted <= room && !column.is_nested;
        if fits {
            room -= wanted;
        }
        fits
    });
    let hidden = hidden.iter().map(|column| column.name.as_str()).collect();
    (shown, hidden)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => time(text).unwrap_or_else(|| printable(text)),
        other => inline(other),
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.iter().all(is_scalar),
        Value::Object(fields) => !fields.values().all(is_scalar),
        _ => false,
    }
}

/// Returns an RFC 3339 time without its fraction of a second, with a space in its
/// middle where it can be wrapped, or `None` if the text is not a time.
fn time(text: &str) -> Option<String> {
    let (moment, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let moment = format!("{}Z", moment.replacen('T', " ", 1));
    let is_fraction = fraction.chars().all(|character| character.is_ascii_digit());
    (is_fraction && is_time(&moment)).then_some(moment)
}

fn is_time(cell: &str) -> bool {
    let is_digit = |character: char| character.is_ascii_digit();
    cell.replace(is_digit, "0") == "0000-00-00 00:00:00Z"
}

/// Splits a name into lines of several parts, each with the separator that ends it.
fn folded(name: &str) -> String {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive(['_', '/']) {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.width() + part.width() <= LONGEST_PART => {
                line.push_str(part);
            }
            _ => lines.push(part.to_owned()),
        }
    }
    lines.join("\n")
}

fn longest_word(text: &str) -> usize {
    let widths = text.split([' ', '\n']).map(|word| word.width());
    widths.max().unwrap_or(0).min(LONGEST_WORD)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(rows: &Value, width: usize) -> String {
        let rows: Vec<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_object().unwrap())
            .collect();
        let screen = Screen {
            width: Some(width),
            has_colour: false,
        };
        let text = table(&rows, screen);
        for line in text.lines() {
            assert!(line.width() <= width, "{line:?} of\n{text}");
        }
        text
    }

    fn users() -> Value {
        json!([
            {
                "created_at": "2026-11-22T19:13:18.191Z", "email": "alice@example.com",
                "roles": ["admin", "clerk"], "status": "active", "username": "alice",
                "user_id": "19b0e31271e63ed74b9fe886d69f2b46",
            },
            {
                "created_at": "2026-11-22T19:13:18.191Z", "roles": [], "status": "disabled",
                "username": "김철수", "user_id": "29b0e31271e63ed74b9fe886d69f2b46",
            },
        ])
    }

    #[test]
    fn columns_align_with_wide_characters() {
        assert_eq!(
            shown(&users(), 200),
            "\
username  user id                           status    email              roles         created at
-----------------------------------------------------------------------------------------------------------
alice     19b0e31271e63ed74b9fe886d69f2b46  active    alice@example.com  admin, clerk  2026-11-22 19:13:18Z
김철수    29b0e31271e63ed74b9fe886d69f2b46  disabled                                   2026-11-22 19:13:18Z
"
        );
    }

    #[test]
    fn columns_that_do_not_fit_are_wrapped_or_named() {
        let text = shown(&users(), 80);
        assert!(text.contains("19b0e31271e63ed74b9fe886d69f2b46"), "{text}");
        assert!(text.contains("(not shown: "), "{text}");
        assert!(text.contains("created_at"), "{text}");
        let text = shown(&users(), 45);
        assert!(text.contains("19b0e31271e63ed74b9fe886d69f2b46"), "{text}");
    }

    #[test]
    fn times_and_names_are_folded_to_fit_essential_columns() {
        let rows = json!([
            {
                "at": "2026-11-22T19:13:18.191Z", "operation": "create_service_account",
                "actor": "api-key/19b0e31271e63ed74b9fe886d69f2b46", "outcome": "success",
            },
            {
                "at": "2026-11-22T19:13:18.191Z", "operation": "login", "actor": "anonymous",
                "outcome": "invalid_credentials",
            },
        ]);
        assert_eq!(
            shown(&rows, 80),
            "\
at          operation        actor                             outcome
--------------------------------------------------------------------------
2026-11-22  create_service_  api-key/                          success
19:13:18Z   account          19b0e31271e63ed74b9fe886d69f2b46
2026-11-22  login            anonymous                         invalid_
19:13:18Z                                                      credentials
"
        );
        let text = shown(&rows, 120);
        assert!(
            text.contains("\n2026-11-22 19:13:18Z  create_service_account  api-key/19b0e3"),
            "{text}"
        );
    }

    #[test]
    fn a_narrow_screen_has_one_line_per_value() {
        let rows = users();
        let rows: Vec<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_object().unwrap())
            .collect();
        let screen = Screen {
            width: Some(12),
            has_colour: false,
        };
        let text = table(&rows, screen);
        assert!(text.contains("\nusername:   alice\n\n"), "{text}");
    }

    #[test]
    fn prose_is_wrapped_and_nested_objects_are_omitted() {
        let rows =
            json!([{"name": "a", "schema": {"x": {"y": 1}}, "note": "one two three four five"}]);
        let text = shown(&rows, 22);
        assert!(
            text.contains("a     one two three\n      four five\n"),
            "{text}"
        );
        assert!(text.contains("(not shown: schema;"), "{text}");
    }

    #[test]
    fn cells_escape_deceptive_characters() {
        let rows = json!([{"username": "a\u{1b}[2J\u{202e}\nb", "user_id": "c"}]);
        let text = shown(&rows, 80);
        assert!(text.contains("a\\u{1b}[2J\\u{202e}\\nb"), "{text}");
    }

    #[test]
    fn only_times_are_shortened() {
        assert_eq!(
            time("2026-11-22T19:13:18.191Z").unwrap(),
            "2026-11-22 19:13:18Z"
        );
        for other in [
            "2026-11-22T19:13:18Z",
            "alice.bobZ",
            "2026-11-22T19:13:18.1x1Z",
            "",
        ] {
            assert_eq!(time(other), None);
        }
    }
}
