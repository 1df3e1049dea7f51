//! Reports the progress and the outcome of an import.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use same_file::Handle;
use serde_json::{Map, Value, json};
use user_auth_host::files::{Existing, open_output};

use super::Outcome;
use super::lines::Input;
use super::portions::Problem;
use crate::failure::Failure;
use crate::output::{self, Screen, progress};

/// Number of problems of each kind that are shown.
const SHOWN_OF_A_KIND: u64 = 10;
/// Number of kinds that are distinguished. All problems of further kinds are one kind.
const MAX_KINDS: usize = 1000;

pub(super) struct Report {
    is_dry_run: bool,
    /// The unit that is counted: a line, or a user of an export.
    noun: &'static str,
    /// The problems of calls that ended before an earlier call did, by the number of the
    /// call.
    waiting: BTreeMap<u64, Vec<Problem>>,
    /// The number of the call whose problems are shown next.
    next_call: u64,
    kinds: BTreeMap<String, Kind>,
    imported: u64,
    unchanged: u64,
    refused: u64,
    weak_hashes: u64,
    began: Instant,
    bar: ProgressBar,
    errors: Option<Errors>,
}

/// The problems of one kind so far.
struct Kind {
    count: u64,
    /// The first of them.
    first_line: u64,
    text: String,
}

/// The file that refused lines are written to.
pub(super) struct Errors {
    path: PathBuf,
    file: File,
}

/// Opens the file of errors to append to it or to overwrite it. Refuses the imported
/// file itself, whose users would be lost before they are read.
pub(super) fn open_errors(path: &Path, input: &Input, adds: bool) -> Result<Errors, Failure> {
    let unwritable = |error| unwritable(path, &error);
    // It is emptied only when it is known to be another file.
    let existing = if adds { Existing::Kept } else { Existing::Open };
    let file =
        open_output(path, existing).map_err(|error| Failure::usage(format!("the file {error}")))?;
    // Terminals and pipes keep nothing that could be lost.
    if file.metadata().map_err(unwritable)?.is_file() {
        let identity = file.try_clone().and_then(Handle::from_file);
        if identity.map_err(unwritable)? == input.identity {
            return Err(Failure::usage(format!(
                "`--errors` names the imported file, {}: choose another file",
                path.display()
            )));
        }
        if !adds {
            file.set_len(0).map_err(unwritable)?;
        }
    }
    Ok(Errors {
        path: path.to_owned(),
        file,
    })
}

impl Report {
    /// Begins a report. `bytes` is the size of the imported file, if it is known.
    pub(super) fn new(errors: Option<Errors>, bytes: Option<u64>) -> Result<Report, Failure> {
        Ok(Report {
            is_dry_run: false,
            noun: "line",
            waiting: BTreeMap::new(),
            next_call: 0,
            kinds: BTreeMap::new(),
            imported: 0,
            unchanged: 0,
            refused: 0,
            weak_hashes: 0,
            began: Instant::now(),
            bar: progress::bar(bytes)?,
            errors,
        })
    }

    /// Counts users in the place of lines if `are_exported`.
    pub(super) fn of_exported_users(self, are_exported: bool) -> Report {
        Report {
            noun: if are_exported { "user" } else { "line" },
            ..self
        }
    }

    /// Reports an import that changes nothing if `is_dry_run`.
    pub(super) fn of_dry_run(self, is_dry_run: bool) -> Report {
        Report { is_dry_run, ..self }
    }

    /// Counts the outcome of a line. Returns the problem if the line was refused.
    pub(super) fn count(&mut self, outcome: Outcome) -> Option<String> {
        match outcome.status.as_str() {
            "imported" | "would_import" => self.imported += 1,
            "unchanged" => self.unchanged += 1,
            _ => return Some(outcome.problem.unwrap_or_default()),
        }
        self.weak_hashes += u64::from(outcome.weak_hash);
        None
    }

    /// Adds the problems of a call, and shows those whose turn it is. The numbers of the
    /// calls have no gaps.
    pub(super) fn refuse(&mut self, call: u64, problems: Vec<Problem>) -> Result<(), Failure> {
        self.refused += problems.len() as u64;
        self.waiting.insert(call, problems);
        while let Some(problems) = self.waiting.remove(&self.next_call) {
            self.next_call += 1;
            for problem in &problems {
                self.show(problem)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, Problem { line, text }: &Problem) -> Result<(), Failure> {
        let noun = self.noun;
        if self.count_kind(*line, text) <= SHOWN_OF_A_KIND {
            let shown = format!("{noun} {line}: {}\n", output::printable(text));
            let shown = Screen::of_errors().wrapped(&shown);
            self.bar.suspend(|| output::print_error(&shown));
        }
        if let Some(Errors { path, file }) = &mut self.errors {
            let error = json!({noun: line, "problem": text});
            file.write_all(output::json_line(&error.to_string()).as_bytes())
                .map_err(|error| unwritable(path, &error))?;
        }
        Ok(())
    }

    /// Counts a problem, and returns the number of problems of its kind so far.
    fn count_kind(&mut self, line: u64, text: &str) -> u64 {
        let mut kind = kind_of(text);
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            kind = String::new();
        }
        let kind = self.kinds.entry(kind).or_insert_with(|| Kind {
            count: 0,
            first_line: line,
            text: text.to_owned(),
        });
        kind.count += 1;
        kind.count
    }

    /// Prints how many problems of each kind were not shown.
    fn print_number_of_hidden_problems(&self) {
        let mut kinds: Vec<&Kind> = self.kinds.values().collect();
        kinds.sort_by_key(|kind| kind.first_line);
        let noun = self.noun;
        for kind in kinds {
            let Some(rest @ 1..) = kind.count.checked_sub(SHOWN_OF_A_KIND) else {
                continue;
            };
            let first = format!(
                "{noun} {}: {}",
                kind.first_line,
                output::printable(&kind.text)
            );
            let all = match self.errors {
                Some(_) => "",
                None => " (--errors FILE keeps all)",
            };
            output::print_error(&format!("and {rest} more like {first}{all}\n"));
        }
    }

    /// Shows that this many more bytes of the file are done.
    pub(super) fn advance(&self, bytes: u64) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let (rate, noun) = (self.lines() as f64 / seconds, self.noun);
        self.bar.inc(bytes);
        self.bar
            .set_message(format!("{} {noun}s, {rate:.0} {noun}s/s", self.lines()));
    }

    /// Returns whether a call was made.
    pub(super) fn has_begun(&self) -> bool {
        self.next_call > 0
    }

    /// Returns whether a line was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.refused > 0
    }

    /// Prints the summary, with the line to continue with if the import is incomplete.
    pub(super) fn finish(&self, next_line: Option<u64>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        self.print_number_of_hidden_problems();
        let lines = format!("{}s", self.noun);
        let imported = if self.is_dry_run {
            "would_import"
        } else {
            "imported"
        };
        let mut summary = Map::new();
        for (name, value) in [
            (lines.as_str(), self.lines()),
            (imported, self.imported),
            ("unchanged", self.unchanged),
            ("refused", self.refused),
            ("weak_hashes", self.weak_hashes),
        ] {
            summary.insert(name.to_owned(), value.into());
        }
        let milliseconds = self.began.elapsed().as_millis() as u64;
        summary.insert("milliseconds".to_owned(), milliseconds.into());
        if let Some(line) = next_line {
            summary.insert("from_line".to_owned(), line.into());
            output::print_error(&format!(
                "the import is incomplete; continue with --from-line {line}\n"
            ));
        }
        if io::stdout().is_terminal() {
            output::print(&output::lines(&summary, "", output::wants_colour()))
        } else {
            output::print(&format!("{}\n", Value::Object(summary)))
        }
    }

    fn lines(&self) -> u64 {
        self.imported + self.unchanged + self.refused
    }
}

/// Returns a problem without the values, numbers and characters in it, which differ from
/// line to line.
fn kind_of(text: &str) -> String {
    let mut kind = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => skip_string(&mut rest),
            '0'..='9' => {}
            // As in U+00A0.
            '+' if kind.ends_with('U') => while rest.next_if(char::is_ascii_hexdigit).is_some() {},
            c => kind.push(c),
        }
    }
    kind
}

/// Skips the rest of a JSON string, with the quote that ends it.
fn skip_string(rest: &mut impl Iterator<Item = char>) {
    while let Some(c) = rest.next() {
        match c {
            '"' => return,
            // An escaped quote does not end the string.
            '\\' => drop(rest.next()),
            _ => {}
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!(
        "the file {} cannot be written: {error}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn problems_of_one_kind_differ_in_values_only() {
        for (one, other) in [
            (
                r#"username "a b": U+0020 at position 2 is a space"#,
                r#"username "a \" c": U+00A0 at position 10 is a space"#,
            ),
            (
                r#"roles "a": there is no such role"#,
                r#"roles "b\\": there is no such role"#,
            ),
            (r#"disabled 7: expected"#, r#"disabled 12: expected"#),
        ] {
            assert_eq!(kind_of(one), kind_of(other));
        }
        assert_ne!(
            kind_of("email: is missing"),
            kind_of("username: is missing")
        );
        assert_ne!(kind_of(r#"a "b": c"#), kind_of(r#"a "b": d"#));
    }
}
