//! Help for operations, from the component's descriptions, and for commands, wrapped to
//! the width of the terminal.

use clap::Command;

use super::table::{grid, wrapped};
use crate::catalog::{Field, Operation, one_line};
use crate::output::{Screen, printable};

/// Maximum width of a line, the same as clap's.
const WIDEST: usize = 100;

/// Returns the help on the command `call` of `program`, with all operations.
pub(crate) fn of_call(mut program: Command, operations: &[Operation], screen: Screen) -> String {
    program.build();
    let mut text = String::new();
    if let Some(call) = program.find_subcommand_mut("call") {
        let help = call.render_help();
        text = if screen.has_colour {
            help.ansi().to_string()
        } else {
            help.to_string()
        };
    }
    if operations.is_empty() {
        return text;
    }
    let rows: Vec<_> = operations
        .iter()
        .map(|operation| [&operation.name, &operation.title].map(|text| printable(text)))
        .collect();
    let heading = screen.bold("Operations:");
    format!(
        "{text}\n{heading}\n{}",
        grid(&rows, "  ", Some(width(screen)))
    )
}

/// Maximum width of the form of a field beside its description. A longer one, with all that
/// can be chosen, stands in the usage only: it would leave no room for the description.
const FORM_WIDTH: usize = 40;

/// Returns the help on one operation: its description and its fields.
pub(crate) fn of_operation(operation: &Operation, screen: Screen) -> String {
    let width = Some(width(screen));
    let fields = operation.fields();
    let mut usage = format!("user-auth call {}", operation.name);
    let mut rows = Vec::new();
    for field in &fields {
        let written = printable(&field.usage());
        usage += &if field.is_required && !field.is_secret() {
            format!(" {written}")
        } else {
            format!(" [{written}]")
        };
        let asked = match (field.is_required, field.is_secret()) {
            (true, true) => " The command asks for it if it is left out.",
            (true, false) => " Required.",
            (false, _) => "",
        };
        let description = printable(&field.description());
        let form = if written.len() > FORM_WIDTH {
            printable(field.name)
        } else {
            written
        };
        rows.push([form, format!("{description}{asked}").trim().to_owned()]);
    }
    let mut text = format!("{}\n\n", printable(&operation.title));
    text += &wrapped(&printable(&one_line(&operation.description)), width);
    text += &format!("\n{}\n", screen.bold("Usage:"));
    text += &grid(&[[usage]], "  ", width);
    if !rows.is_empty() {
        text += &format!("\n{}\n", screen.bold("Fields:"));
        text += &grid(&rows, "  ", width);
    }
    let is_asked = |field: &Field<'_>| field.is_required && field.is_secret();
    let advice = if fields.iter().any(is_asked) {
        "It is best to leave a secret out here, where other users of the machine could see it: \
             enter it at the prompt, or pass it with `--password-stdin` or `--json -`. "
    } else {
        ""
    };
    let advice = format!("{advice}`user-auth call --help` shows the options.");
    text += &format!("\n{}", wrapped(&advice, width));
    text
}

/// Rewraps the texts below the options to the width of the screen instead of that of
/// the source.
pub(crate) fn reflow(command: Command) -> Command {
    let text = command
        .get_after_help()
        .map(|text| joined(&text.to_string()));
    let command = match text {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(reflow)
}

/// Joins the lines of each paragraph. Indented lines stay as they are.
fn joined(text: &str) -> String {
    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
    let mut all = String::new();
    let mut was_prose = false;
    for line in text.lines() {
        all += match (all.is_empty(), was_prose && is_prose(line)) {
            (true, _) => "",
            (false, true) => " ",
            (false, false) => "\n",
        };
        all += line;
        was_prose = is_prose(line);
    }
    all
}

fn width(screen: Screen) -> usize {
    screen.width.unwrap_or(WIDEST).min(WIDEST)
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn paragraphs_are_joined_and_examples_kept() {
        assert_eq!(
            joined("One\ntwo.\n\nThree:\n  a b\n  c\nfour\nfive"),
            "One two.\n\nThree:\n  a b\n  c\nfour five"
        );
    }
}
