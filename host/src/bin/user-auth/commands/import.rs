//! `user-auth import`: reads users in portions, and reports what became of each. Which users
//! and hashes are valid is up to the component.

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

/// Each call waits for the disk once, and the store makes one wait of those of many
/// calls: enough to keep the processors at work meanwhile.
const CALLS_AT_ONCE: usize = 32;
/// Stopped by SIGINT or SIGTERM: as shells say it.
const STOPPED: u8 = 130;

#[derive(Args)]
#[command(after_help = "\
FILE holds one user a line, as JSON (JSON Lines); empty lines are skipped:

  {\"username\": \"alice\", \"password_hash\": \"$2b$12$…\"}

Only username is required; what else there can be is the input of the operation
import_users. With --from FILE is what another system exports:

  keycloak  kc.sh export --realm NAME --users realm_file --file FILE
  auth0     the users with their password hashes, as Auth0's support exports them,
            or a file for its bulk import
  firebase  firebase auth:export FILE --format=json; see --firebase-hash-config
  django    manage.py dumpdata auth.user > FILE
  devise    the table of users, as CSV with names of columns or as JSON
  laravel   the same

A bad line is reported on standard error as `line N: FIELD VALUE: PROBLEM` and does
not stop the others; of one kind of problem ten are shown, and the file of --errors
has all. To import a file again does no harm. SIGINT ends it after what is under
way, and says with which --from-line to go on; the lines refused by then stay in the
file of --errors.

The summary is text on a terminal, JSON when piped. Exit codes: 0 done, 1 some
lines were refused, 2 wrong arguments, 3 the host cannot start or go on, 130
stopped by a signal.")]
pub(crate) struct Import {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// FILE is what this system exports
    #[arg(long, value_name = "SYSTEM")]
    from: Option<System>,

    /// With --from firebase: a file with the hash parameters of the project, as the
    /// console of Firebase shows them (Authentication, Users, Password hash parameters)
    #[arg(long, value_name = "FILE")]
    firebase_hash_config: Option<PathBuf>,

    /// Begin with this line, or with --from with this user
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    from_line: u64,

    /// Write the lines that were refused to this file as well, as JSON Lines; with
    /// --from-line they are added to what it holds
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,

    /// Check the lines, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    pub(crate) options: Options,
}

/// What is needed of the output of `import_users`.
#[derive(Deserialize)]
struct Imports {
    users: Vec<Outcome>,
}

/// What came of one line.
#[derive(Deserialize)]
struct Outcome {
    status: String,
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    weak_hash: bool,
}

/// What came of the lines of one call.
struct Called {
    /// How many calls were begun before it.
    number: u64,
    chunk: Chunk,
    /// Line by line; or why there is no answer.
    outcomes: Result<Vec<Outcome>, String>,
}

/// How the import ended.
enum End {
    /// All lines were read.
    Done,
    /// By a signal.
    Stopped,
    /// The file, the component or the store failed.
    Broken(String),
}

impl Import {
    pub(crate) fn flags(&self) -> Flags {
        self.options.flags()
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
            End::Broken(reason) => {
                report.finish(Some(next_line))?;
                Err(Failure::start(reason))
            }
        }
    }

    /// Imports until there is no more, or something ends it; what has begun is
    /// waited for. Gives how it ended, and the line to go on with.
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
        // Of a call that failed: those after it may have gone well.
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
                        end = Some(End::Broken(reason));
                    }
                }
                chunk = chunks.recv(), if end.is_none() && calls.len() < CALLS_AT_ONCE => {
                    match chunk {
                        None => end = Some(End::Done),
                        Some(Err(reason)) => end = Some(End::Broken(reason)),
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

/// Takes note of what came of a call; the inner error is why nothing did.
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
        Err(error) => return Err(format!("the component gave no answer: {error}")),
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
