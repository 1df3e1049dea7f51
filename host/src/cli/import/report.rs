//! What came of an import, as it goes on and at its end.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use same_file::Handle;
use serde_json::{Map, Value, json};
use user_auth_host::files::{Existing, open_output};

use super::super::{Failure, progress, show};
use super::Outcome;
use super::lines::Input;

/// Why a line was refused.
pub(super) struct Problem {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) text: String,
}

pub(super) struct Report {
    imported: u64,
    unchanged: u64,
    refused: u64,
    weak_hashes: u64,
    began: Instant,
    bar: ProgressBar,
    errors: Option<Errors>,
}

/// The file that lines are written to that were refused.
pub(super) struct Errors {
    path: PathBuf,
    file: File,
}

/// Opens the file of errors, to add to it or to begin anew, unless it is the very
/// file that is imported, whose users would be gone before they are read.
pub(super) fn open_errors(path: &Path, input: &Input, adds: bool) -> Result<Errors, Failure> {
    let unwritable = |error| unwritable(path, &error);
    // Emptied only when it is known to be another.
    let existing = match adds {
        true => Existing::Kept,
        false => Existing::Open,
    };
    let file =
        open_output(path, existing).map_err(|error| Failure::usage(format!("the file {error}")))?;
    // Terminals and pipes keep nothing that could be lost.
    if file.metadata().map_err(unwritable)?.is_file() {
        let identity = file.try_clone().and_then(Handle::from_file);
        if identity.map_err(unwritable)? == input.identity {
            return Err(Failure::usage(format!(
                "`--errors` names the file that is imported, {}: give it another",
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
    /// A report that begins; `bytes` is how much there is to do, if that is known.
    pub(super) fn new(errors: Option<Errors>, bytes: Option<u64>) -> Result<Report, Failure> {
        Ok(Report {
            imported: 0,
            unchanged: 0,
            refused: 0,
            weak_hashes: 0,
            began: Instant::now(),
            bar: progress::bar(bytes)?,
            errors,
        })
    }

    /// Counts what came of a line; gives why it was refused, if it was.
    pub(super) fn count(&mut self, outcome: Outcome) -> Option<String> {
        match outcome.status.as_str() {
            "imported" => self.imported += 1,
            "unchanged" => self.unchanged += 1,
            _ => return Some(outcome.problem.unwrap_or_default()),
        }
        self.weak_hashes += u64::from(outcome.weak_hash);
        None
    }

    /// Tells which lines were refused.
    pub(super) fn refuse(&mut self, problems: &[Problem]) -> Result<(), Failure> {
        self.refused += problems.len() as u64;
        for Problem { line, text } in problems {
            let told = format!("line {line}: {}\n", show::printable(text));
            self.bar.suspend(|| show::complain(&told));
            if let Some(Errors { path, file }) = &mut self.errors {
                let error = json!({"line": line, "problem": text});
                file.write_all(show::json_line(&error.to_string()).as_bytes())
                    .map_err(|error| unwritable(path, &error))?;
            }
        }
        Ok(())
    }

    /// So much more of the file is done.
    pub(super) fn advance(&self, bytes: u64) {
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        let rate = self.lines() as f64 / seconds;
        self.bar.inc(bytes);
        self.bar
            .set_message(format!("{} lines, {rate:.0} lines/s", self.lines()));
    }

    /// Whether a line was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.refused > 0
    }

    /// Prints the summary, and from which line to go on if not all is done.
    pub(super) fn finish(&self, next_line: Option<u64>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let mut summary = Map::new();
        for (name, value) in [
            ("lines", self.lines()),
            ("imported", self.imported),
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
            show::complain(&format!(
                "not all was read; go on with --from-line {line}\n"
            ));
        }
        match io::stdout().is_terminal() {
            true => show::print(&show::lines(&summary, "", show::wants_colour())),
            false => show::print(&format!("{}\n", Value::Object(summary))),
        }
    }

    fn lines(&self) -> u64 {
        self.imported + self.unchanged + self.refused
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!(
        "the file {} cannot be written: {error}",
        path.display()
    ))
}
