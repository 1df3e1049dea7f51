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
mod man;
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
/// Serves MCP (the Model Context Protocol) over HTTP or standard input and output. All
/// decisions are made inside a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(name = "user-auth", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  user-auth serve                  MCP over HTTP on port 8000
  user-auth stdio                  MCP for a client that starts this program
  user-auth call register username=alice
  user-auth call list_users
  user-auth import users.jsonl     users from another system
  user-auth backup users.backup    all records in one file
  user-auth inspect                what the component may do
  user-auth config show            all settings and their sources

Environment:
  LOG_LEVEL                    DEBUG, INFO, WARN or ERROR
  RUST_LOG                     the same per module
  USER_AUTH_CONFIG             the configuration file
  USER_AUTH_MASTER_KEY         64 hexadecimal digits
  CONSUL_HTTP_TOKEN            the ACL token of Consul
  OTEL_EXPORTER_OTLP_ENDPOINT  the destination of spans
  NO_COLOR                     no colours

`user-auth serve --help` names the variables of the secrets for mail and webhooks.
Each configuration key has its own variable, such as USER_AUTH_LIMITS_BODY_BYTES
for limits.body_bytes; `user-auth config schema` lists all of them (x-env).

Completions: `source <(user-auth completions bash)`, and likewise for other shells.";

/// Number of tasks that a thread runs before it polls sockets and timers. A component
/// that loops occupies its thread for one epoch tick at a time, and with tokio's
/// default of 61 everything else would wait for that many ticks.
const EVENT_INTERVAL: u32 = 8;

#[derive(Subcommand)]
enum Command {
    /// Serve MCP over HTTP.
    Serve(serve::Serve),
    /// Serve MCP over standard input and output, one message per line.
    Stdio(stdio::Stdio),
    /// Run one operation.
    Call(call::Call),
    /// Import users from another system, with their password hashes.
    Import(import::Import),
    /// Back up everything in the store to one file, while servers keep using it.
    Backup(backup::Backup),
    /// Restore a backup into a store of any kind.
    Restore(restore::Restore),
    /// Replace the master key; all tokens and passwords stay valid.
    RotateMasterKey(rotate::RotateMasterKey),
    /// Show the component's imports, exports, size and hash, and the limits.
    Inspect(inspect::Inspect),
    /// Show the configuration, check a file, or print its schema.
    Config(config::ConfigCommand),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder.
    Man(man::Manual),
}

/// Returns the command line, with the environment variables of its options.
fn command() -> clap::Command {
    let command = options::without_empty_variables(help::reflow(Cli::command()));
    config::name_variables(command)
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    match completion::answer() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return fail(&Failure::of_arguments(&error)),
    }
    let matches = command().try_get_matches();
    let done = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => run(cli.command),
        // Help and the version were requested, so they are not errors.
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => Err(Failure::of_arguments(&error)),
    };
    done.unwrap_or_else(|failure| fail(&failure))
}

fn fail(failure: &Failure) -> ExitCode {
    // Arguments may contain control characters, which must not reach the terminal.
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
        Command::Man(manual) => manual.run().map(|()| ExitCode::SUCCESS),
    }
}

/// Loads the configuration, and runs the command, with tracing if that is configured.
/// `level` is the log level unless the configuration sets another.
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
    // A thread may be blocked in a read of standard input, which cannot be interrupted.
    runtime.shutdown_background();
    result
}

/// Loads the configuration for a command that only displays it.
fn configure(flags: &Flags, level: Level) -> Result<Config, Failure> {
    let (config, _) = begin_log(Config::load(flags)?, level, None)?;
    Ok(config)
}

/// Starts the log, beginning with the warnings about the configuration.
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

/// The reason why the program ends without having completed its task.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Returns the failure for invalid arguments.
    fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: 2,
            message: message.to_string(),
        }
    }

    /// Returns the failure for arguments that clap rejected.
    fn of_arguments(error: &clap::Error) -> Self {
        if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
            && is_operation(word)
        {
            return Self::usage(format!(
                "unknown command '{word}'; did you mean `user-auth call {word}`?"
            ));
        }
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Self::usage(text.trim_end())
    }

    /// Returns the failure for a call into the sandbox without a response.
    fn no_answer(error: CallError) -> Self {
        Self::start(format!("the component did not respond: {error}"))
    }

    /// Returns the failure of a host that cannot start or continue.
    fn start(message: impl fmt::Display) -> Self {
        Self {
            code: 3,
            message: message.to_string(),
        }
    }
}

/// Returns whether the component has an operation of this name, or false if the
/// component cannot be read.
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
