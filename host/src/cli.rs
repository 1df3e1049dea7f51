//! The command line.

mod answer;
mod arguments;
mod ask;
mod backup;
mod call;
mod catalog;
mod completion;
mod config;
mod delivery;
mod descriptors;
mod help;
mod import;
mod inspect;
mod json;
mod logging;
mod nearest;
mod open;
mod options;
mod progress;
mod restore;
mod rotate;
mod serve;
mod show;
mod stdio;
mod table;

use std::fmt;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use tokio::runtime::{Handle, Runtime};
use tracing::{Level, warn};
use url::Url;
use user_auth_host::CallError;
use user_auth_host::trace::otlp::Otlp;

use self::config::{Config, Flags, Loaded};
use self::show::Screen;

/// Authentication for AI agents and the services around them.
///
/// Serves MCP (the Model Context Protocol) over HTTP or standard input and
/// output. Everything it decides is decided inside a sandboxed WebAssembly
/// component.
#[derive(Parser)]
#[command(name = "user-auth", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  user-auth serve                  MCP over HTTP on port 8000
  user-auth stdio                  MCP for a client that starts it
  user-auth call register username=alice
  user-auth call list_users
  user-auth import users.jsonl     users of another system
  user-auth backup users.backup    all records in one file
  user-auth inspect                what the component may do
  user-auth config show            all settings and their sources

Environment:
  LOG_LEVEL                    DEBUG, INFO, WARN or ERROR
  RUST_LOG                     the same by module
  USER_AUTH_CONFIG             the configuration file
  USER_AUTH_MASTER_KEY         64 hexadecimal digits
  CONSUL_HTTP_TOKEN            the ACL token of Consul
  OTEL_EXPORTER_OTLP_ENDPOINT  where spans go
  NO_COLOR                     no colours

`user-auth serve --help` names the variables of the secrets for mail and webhooks.
Each key of the configuration has a variable of its own, such as
USER_AUTH_LIMITS_BODY_BYTES for limits.body_bytes; `user-auth config schema` shows
all of them (x-env).

Completions: `source <(user-auth completions bash)`, and the same for the other
shells.";

/// After so many tasks a thread looks at sockets and timers. A component that
/// loops holds its thread for a tick of the epoch at a time, and tokio's default
/// of 61 would keep everybody else waiting for that many of them.
const EVENT_INTERVAL: u32 = 8;

#[derive(Subcommand)]
enum Command {
    /// Serve MCP over HTTP.
    Serve(serve::Serve),
    /// Serve MCP over standard input and output, one message a line.
    Stdio(stdio::Stdio),
    /// Run one operation.
    Call(call::Call),
    /// Import users of another system, with their password hashes.
    Import(import::Import),
    /// Write all that the store holds to one file, while others use it.
    Backup(backup::Backup),
    /// Write a backup into a store, of whatever kind.
    Restore(restore::Restore),
    /// Put another master key in the place of the one in use; all stays valid.
    RotateMasterKey(rotate::RotateMasterKey),
    /// Show the component's imports, exports, size and hash, and the limits.
    Inspect(inspect::Inspect),
    /// Show the configuration, check a file of it, or print its schema.
    Config(config::ConfigCommand),
    /// Print the completions for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// The command line, with the environment variables of its options.
fn command() -> clap::Command {
    let command = options::without_empty_variables(help::reflow(Cli::command()));
    config::name_variables(command)
}

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    match completion::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&Failure::of_arguments(&error)),
    }
    let matches = command().try_get_matches();
    let done = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => run(cli.command),
        // Help and the version, which were asked for.
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => Err(Failure::of_arguments(&error)),
    };
    done.unwrap_or_else(|failure| fail(&failure))
}

fn fail(failure: &Failure) -> ExitCode {
    // What was given may hold control characters, which are not for the terminal.
    let text = show::printable_lines(&format!("error: {failure}\n"));
    show::complain(&Screen::of_errors().wrapped(&text));
    ExitCode::from(failure.code)
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(serve) => start(&serve.flags(), Level::INFO, |config| serve.run(config)),
        Command::Stdio(stdio) => start(&stdio.flags(), Level::WARN, |config| stdio.run(config)),
        Command::Call(call) if call.help => call.print_help(),
        Command::Call(call) => start(&call.flags(), Level::WARN, |config| call.run(config)),
        Command::Import(import) => start(&import.flags(), Level::WARN, |config| import.run(config)),
        Command::Backup(backup) => start(&backup.flags(), Level::WARN, |config| backup.run(config)),
        Command::Restore(restore) => {
            start(&restore.flags(), Level::WARN, |config| restore.run(config))
        }
        Command::RotateMasterKey(rotate) => {
            start(&rotate.flags(), Level::WARN, |config| rotate.run(config))
        }
        Command::Inspect(inspect) => start(&inspect.flags(), Level::WARN, async |config| {
            inspect.run(config)
        }),
        Command::Config(config) => config.run(),
        Command::Completions { shell } => {
            show::print(&completion::script(shell)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Loads the configuration, and runs the command, traced if the configuration says
/// so. What is at least of this level is logged, unless the configuration has
/// another.
fn start<F>(
    flags: &Flags,
    level: Level,
    command: impl FnOnce(Config) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let loaded = Config::load(flags)?;
    let traces = loaded.config.logging.traces_url()?;
    let runtime = runtime()?;
    let traces = traces.as_ref().map(|url| (url, runtime.handle()));
    let (config, spans) = begin_log(loaded, level, traces)?;
    let result = runtime.block_on(command(config));
    if let Some(spans) = spans {
        spans.finish();
    }
    // A thread may be blocked in a read of standard input, which nothing ends.
    runtime.shutdown_background();
    result
}

/// Loads the configuration for a command that only looks at it.
fn configure(flags: &Flags, level: Level) -> Result<Config, Failure> {
    let (config, _) = begin_log(Config::load(flags)?, level, None)?;
    Ok(config)
}

/// Begins the log with what there is to say about the configuration.
fn begin_log(
    loaded: Loaded,
    level: Level,
    traces: Option<(&Url, &Handle)>,
) -> Result<(Config, Option<Otlp>), Failure> {
    let Loaded { config, warnings } = loaded;
    let spans = logging::start(level, &config.logging, traces)?;
    for warning in warnings {
        warn!("{warning}");
    }
    Ok((config, spans))
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .map_err(|error| Failure::start(format!("the threads cannot be started: {error}")))
}

/// Why the program ends without having done what it was to do.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The arguments make no sense.
    fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// What clap says of the arguments.
    fn of_arguments(error: &clap::Error) -> Self {
        if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
            && is_operation(word)
        {
            return Self::usage(format!(
                "there is no command '{word}'; did you mean `user-auth call {word}`?"
            ));
        }
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Self::usage(text.trim_end())
    }

    /// A call into the sandbox came to nothing.
    fn no_answer(error: CallError) -> Self {
        Self::start(format!("the component gave no answer: {error}"))
    }

    /// The host cannot start, or broke down.
    fn start(message: impl fmt::Display) -> Self {
        Self {
            code: 3,
            message: message.to_string(),
        }
    }
}

/// Whether the component has an operation of this name, as far as it can be read.
fn is_operation(name: &str) -> bool {
    Config::load(&Flags::default())
        .and_then(|loaded| catalog::operations_of(&loaded.config.component))
        .is_ok_and(|operations| operations.iter().any(|operation| operation.name == name))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
