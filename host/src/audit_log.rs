//! The audit log: a line of JSON for every operation called, including reads and
//! refusals, in addition to the audit records in the store.
//!
//! Each line is written by one system call, to a file opened for appending, before the
//! operation is answered: a process that is killed loses no line of an answered
//! operation, and processes may share a file. Lines are not synced to the disk one by
//! one.
//!
//! A file that was moved away, as logrotate does, is noticed before the next line,
//! which goes to a new file. If a line cannot be written, operations continue; the log
//! reports when that begins and ends, and the next line that is written has the number
//! of missing lines in `lost_before`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tracing::{error, info};

use crate::embed::bindings::user_auth::plugin::telemetry::Credential;
use crate::files::{Existing, FileError, open_output};
use crate::printable::printable_json;

/// The destination of the audit lines.
pub struct AuditLog {
    sink: Mutex<Sink>,
}

struct Sink {
    destination: Destination,
    /// Number of lines that could not be written since the last one that was.
    lost: u64,
    /// Whether the last line was written only in part.
    is_torn: bool,
}

enum Destination {
    Stderr,
    File(Rotated),
}

/// A file that may be moved away.
struct Rotated {
    path: PathBuf,
    file: Option<File>,
}

/// The audit line of one operation that has ended.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    /// The time in RFC 3339, UTC, with milliseconds.
    pub(crate) time: String,
    pub(crate) operation: &'a str,
    pub(crate) outcome: &'static str,
    /// The error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i32>,
    pub(crate) duration_us: u64,
    /// The kind of credential that the caller presented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<&'static str>,
    /// The user that it authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<&'a str>,
    /// The address of the caller, or `local`.
    pub(crate) source: &'a str,
    /// The account that the operation was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<&'a str>,
    pub(crate) trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Value>,
    /// Number of missing lines before this one.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) lost_before: u64,
}

impl AuditLog {
    /// Returns an audit log that writes to standard error.
    pub fn stderr() -> Self {
        Self::new(Destination::Stderr)
    }

    /// Returns an audit log that writes to a file, created for its owner only if it
    /// does not exist. Rejects a file that another user created or may write.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref().to_owned();
        let file = Some(open_output(&path, Existing::Kept)?);
        Ok(Self::new(Destination::File(Rotated { path, file })))
    }

    fn new(destination: Destination) -> Self {
        let sink = Mutex::new(Sink {
            destination,
            lost: 0,
            is_torn: false,
        });
        Self { sink }
    }

    /// Reopens the file before the next line.
    pub fn reopen(&self) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if let Destination::File(rotated) = &mut sink.destination {
            rotated.file = None;
        }
    }

    pub(crate) fn write(&self, mut line: Line) {
        // Rendered before the lock is taken: lines of other calls wait only for the write.
        let mut text = rendered(&line);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.lost > 0 {
            line.lost_before = sink.lost;
            text = rendered(&line);
        }
        match text.and_then(|text| sink.write(&text)) {
            Ok(()) if sink.lost > 0 => {
                info!(lost = sink.lost, "the audit log can be written again");
                sink.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if sink.lost == 0 {
                    error!(%error, "the audit log cannot be written; operations go on without it");
                }
                sink.lost += 1;
            }
        }
    }
}

impl Sink {
    fn write(&mut self, line: &str) -> io::Result<()> {
        let text = if self.is_torn {
            &format!("\n{line}")
        } else {
            line
        };
        let text = text.as_bytes();
        let written = match &mut self.destination {
            Destination::Stderr => io::stderr().lock().write(text)?,
            Destination::File(rotated) => rotated.current()?.write(text)?,
        };
        if written < text.len() {
            self.is_torn = true;
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.is_torn = false;
        Ok(())
    }
}

impl Rotated {
    /// Returns the file that currently has the path, opening it if necessary.
    fn current(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => open_output(&self.path, Existing::Kept).map_err(io::Error::other)?,
        };
        Ok(self.file.insert(file))
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let (Ok(opened), Ok(there)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Returns an audit line as text, with the line feed at its end.
fn rendered(line: &Line) -> io::Result<String> {
    let mut text = printable_json(&serde_json::to_string(line)?).into_owned();
    text.push('\n');
    Ok(text)
}

/// Returns the name of a credential in audit lines.
pub(crate) fn credential(credential: Credential) -> &'static str {
    match credential {
        Credential::Anonymous => "anonymous",
        Credential::AccessToken => "access_token",
        Credential::ApiKey => "api_key",
        Credential::Operator => "operator",
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    fn line(operation: &str) -> Line<'_> {
        Line {
            time: crate::time::now(),
            operation,
            outcome: "success",
            code: None,
            duration_us: 1,
            credential: None,
            actor: None,
            session_id: None,
            source: "local",
            account: None,
            trace_id: String::new(),
            input: None,
            lost_before: 0,
        }
    }

    fn operations(path: &Path) -> Vec<(String, u64)> {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let lost = line["lost_before"].as_u64().unwrap_or(0);
            (line["operation"].as_str().unwrap().to_owned(), lost)
        });
        lines.collect()
    }

    #[test]
    fn a_moved_log_file_is_replaced_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let log = AuditLog::file(&path).unwrap();
        log.write(line("first"));
        fs::rename(&path, &old).unwrap();
        log.write(line("second"));
        log.reopen();
        log.write(line("third"));
        assert_eq!(operations(&old), [("first".to_owned(), 0)]);
        let new = operations(&path);
        assert_eq!(new, [("second".to_owned(), 0), ("third".to_owned(), 0)]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_first_line_after_a_failure_counts_the_lost_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let log = AuditLog::file(&path).unwrap();
        log.write(line("lost"));
        log.write(line("lost too"));
        fs::remove_file(&path).unwrap();
        log.write(line("third"));
        log.write(line("fourth"));
        let written = operations(&path);
        assert_eq!(written, [("third".to_owned(), 2), ("fourth".to_owned(), 0)]);
    }

    #[test]
    fn lines_of_two_processes_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        let long = "x".repeat(3_000);
        thread::scope(|scope| {
            for _ in 0..4 {
                let log = AuditLog::file(&path).unwrap();
                let long = &long;
                scope.spawn(move || (0..100).for_each(|_| log.write(line(long))));
            }
        });
        assert_eq!(operations(&path).len(), 400);
    }
}
