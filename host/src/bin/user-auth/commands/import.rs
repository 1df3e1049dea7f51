//! `user-auth import`: reads users in chunks, and reports the outcome of each. The
//! component decides which users and hashes are valid.

mod export;
mod lines;
mod portions;
mod report;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Deserialize;
use tokio::task::{JoinError, JoinSet};
use user_auth_host::Plugin;
use user_auth_host::api::{Caller, Principal};

use self::export::{Export, System};
use self::lines::Chunks;
use self::portions::{Chunk, Problem};
use self::report::Report;
use super::serve::shutdown_signal;
use crate::bootstrap::open;
use crate::config::{Config, Flags};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::Options;

/// Number of calls at once. Each call waits for the disk, and the store writes many calls
/// at once: with this number the processors are busy in the meantime.
const CALLS_AT_ONCE: usize = 32;
/// Exit code after SIGINT or SIGTERM, as shells use it.
const STOPPED: u8 = 130;

#[derive(Args)]
#[command(after_help = "\
FILE has one user per line, as JSON (JSON Lines); empty lines are skipped:

  {\"username\": \"alice\", \"password_hash\": \"$2b$12$…\"}

Only username is required; the schema of the operation import_users lists the other
fields. With --from, FILE is the export of another system:

  keycloak  kc.sh export --realm NAME --users realm_file --file FILE
  auth0     the users with their password hashes, as Auth0's support exports them,
            or a file for its bulk import
  firebase  firebase auth:export FILE --format=json; see --firebase-hash-config
  django    manage.py dumpdata auth.user > FILE
  devise    the table of users, as CSV with the names of the columns, or as JSON
  laravel   the same

A bad line is reported on standard error as `line N: FIELD VALUE: PROBLEM` and does
not stop the others. Ten problems of each kind are shown; the file of --errors has
all. It is safe to import a file again. SIGINT ends the import once the calls under
way are done, and prints the --from-line to continue with; the lines refused by then
stay in the file of --errors.

The summary is text on a terminal, JSON when piped. Exit codes: 0 done, 1 some
lines were refused, 2 wrong arguments, 3 the host cannot start or continue, 130
stopped by a signal.")]
pub(crate) struct Import {
    /// The file with the users; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The system that FILE was exported from
    #[arg(long, value_name = "SYSTEM")]
    from: Option<System>,

    /// With --from firebase: a file with the hash parameters of the project, as the
    /// Firebase console shows them (Authentication, Users, Password hash parameters)
    #[arg(long, value_name = "FILE")]
    firebase_hash_config: Option<PathBuf>,

    /// Begin with this line; with --from, begin with this user
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    from_line: u64,

    /// Also write the refused lines to this file, as JSON Lines; with --from-line they
    /// are appended to it
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,

    /// Check the lines without changing anything
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// The output of `import_users`, as far as it is needed.
#[derive(Deserialize)]
struct Imports {
    users: Vec<Outcome>,
}

/// The outcome of one line.
#[derive(Deserialize)]
struct Outcome {
    status: String,
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    weak_hash: bool,
}

/// The outcome of one call.
struct Called {
    /// The number of calls begun before it.
    number: u64,
    chunk: Chunk,
    /// The outcome of each line, or the reason why the call failed.
    outcomes: Result<Vec<Outcome>, String>,
}

/// How the import ended.
enum End {
    /// All lines were read.
    Done,
    /// A signal stopped it.
    Stopped,
    /// The file, the component or the store failed.
    Broken(Failure),
}

impl Import {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.options.flags();
        flags.all_operations();
        flags
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let export = Export::new(self.from, self.firebase_hash_config.as_deref())?;
        let input = lines::open(&self.file)?;
        let errors = self.errors.as_deref();
        let errors = errors.map(|path| report::open_errors(path, &input, self.from_line > 1));
        let mut report = Report::new(errors.transpose()?, input.bytes)?
            .of_exported_users(export.is_some())
            .of_dry_run(self.dry_run);
        let (plugin, _) = open(&config, config.limits.0.clone(), Reach::Operator).await?;
        let mut chunks = lines::read(input, export, self.from_line)?;
        let (end, next_line) = self.import(&plugin, &mut chunks, &mut report).await?;
        match end {
            End::Done => {
                report.finish(None)?;
                Ok(ExitCode::from(u8::from(report.has_refused())))
            }
            End::Stopped => {
                report.finish(Some(next_line))?;
                Ok(ExitCode::from(STOPPED))
            }
            End::Broken(failure) => {
                // Before the first call there is nothing to report, and nothing to continue.
                if report.has_begun() {
                    report.finish(Some(next_line))?;
                }
                Err(failure)
            }
        }
    }

    /// Imports until the file ends or something stops the import, and then waits for the
    /// calls that have begun. Returns how it ended, and the line to continue with.
    async fn import(
        &self,
        plugin: &Plugin,
        chunks: &mut Chunks,
        report: &mut Report,
    ) -> Result<(End, u64), Failure> {
        let mut stop = pin!(shutdown_signal()?);
        let mut calls = JoinSet::new();
        let mut begun = 0;
        let mut end = None;
        let mut next_line = self.from_line;
        // The first line of the first call that failed: later calls may have succeeded.
        let mut first_failed = u64::MAX;
        while end.is_none() || !calls.is_empty() {
            tokio::select! {
                biased;
                () = &mut stop, if end.is_none() => end = Some(End::Stopped),
                Some(called) = calls.join_next() => {
                    let called: Called = called.map_err(broken)?;
                    let first = called.chunk.first_line;
                    if let Err(reason) = take(called, report)? {
                        first_failed = first_failed.min(first);
                        end = Some(End::Broken(Failure::start(reason)));
                    }
                }
                chunk = chunks.recv(), if end.is_none() && calls.len() < CALLS_AT_ONCE => {
                    match chunk {
                        None => end = Some(End::Done),
                        Some(Err(failure)) => end = Some(End::Broken(failure)),
                        Some(Ok(chunk)) => {
                            next_line = chunk.last_line + 1;
                            calls.spawn(call(plugin.clone(), begun, chunk, self.dry_run));
                            begun += 1;
                        }
                    }
                }
            }
        }
        Ok((end.unwrap_or(End::Done), next_line.min(first_failed)))
    }
}

/// Adds the outcome of a call to the report. The inner error is the reason why the call
/// failed.
fn take(called: Called, report: &mut Report) -> Result<Result<(), String>, Failure> {
    let Called {
        number,
        chunk,
        outcomes,
    } = called;
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(reason) => {
            report.refuse(number, Vec::new())?;
            return Ok(Err(reason));
        }
    };
    let mut problems = chunk.problems;
    for (line, outcome) in chunk.lines.iter().zip(outcomes) {
        if let Some(text) = report.count(outcome) {
            problems.push(Problem { line: *line, text });
        }
    }
    problems.sort_by_key(|problem| problem.line);
    report.refuse(number, problems)?;
    report.advance(chunk.bytes);
    Ok(Ok(()))
}

async fn call(plugin: Plugin, number: u64, chunk: Chunk, dry_run: bool) -> Called {
    let outcomes = if chunk.lines.is_empty() {
        Ok(Vec::new())
    } else {
        invoke(&plugin, &chunk, dry_run).await
    };
    Called {
        number,
        chunk,
        outcomes,
    }
}

async fn invoke(plugin: &Plugin, chunk: &Chunk, dry_run: bool) -> Result<Vec<Outcome>, String> {
    let caller = Caller {
        principal: Principal::Operator,
        source: None,
    };
    let input = format!(r#"{{"users":[{}],"dry_run":{dry_run}}}"#, chunk.users);
    let output = match plugin.invoke(caller, "import_users", &input).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{} ({})", error.message, error.code)),
        Err(error) => return Err(format!("the component did not answer: {error}")),
    };
    let output: Imports = serde_json::from_str(&output)
        .map_err(|error| format!("the component is broken: {error}"))?;
    if output.users.len() == chunk.lines.len() {
        Ok(output.users)
    } else {
        Err("the component is broken: it did not answer for each line".to_owned())
    }
}

fn broken(error: JoinError) -> Failure {
    Failure::start(format!("a call was lost: {error}"))
}
