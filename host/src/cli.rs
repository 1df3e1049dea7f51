//! The command line.

mod arguments;
mod backup;
mod call;
mod config;
mod delivery;
mod descriptors;
mod import;
mod inspect;
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

use std::fmt;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use tracing::{Level, warn};
use user_auth_host::CallError;

use self::config::{Config, Flags, Loaded};

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
  user-auth serve                                    MCP at http://127.0.0.1:8000/mcp
  user-auth stdio                                    MCP for a client that starts this program
  user-auth call register username=alice             asks for the password
  user-auth call verify_token token=eyJhbGciOi…
  user-auth import users.jsonl                       users of another system
  user-auth backup users.backup                      all records in one file
  user-auth inspect                                  what the component may do, and its limits
  user-auth config show                              every setting, and where it comes from

Environment:
  LOG_LEVEL              DEBUG, INFO, WARN or ERROR
  RUST_LOG               the same by module, for example user_auth_host=debug
  USER_AUTH_CONFIG       the configuration file
  USER_AUTH_MASTER_KEY   the master key: 64 hexadecimal digits, or base64 of 32 bytes
  USER_AUTH_SMTP_PASSWORD, USER_AUTH_WEBHOOK_SECRET   see `user-auth serve --help`
  NO_COLOR               no colours
Each key of the configuration has a variable of its own, such as
USER_AUTH_LIMITS_BODY_BYTES for limits.body_bytes; the schema of `user-auth config
schema` tells those with other names (x-env).";

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

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    let command = options::without_empty_variables(Cli::command());
    let matches = config::name_variables(command).try_get_matches();
    let done = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => run(cli.command),
        // Help and the version, which were asked for.
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => Err(Failure::parsing(&error)),
    };
    done.unwrap_or_else(|failure| {
        // What was given may hold control characters, which are not for the
        // terminal.
        show::complain(&show::printable_lines(&format!("error: {failure}\n")));
        ExitCode::from(failure.code)
    })
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(serve) => {
            let config = configure(&serve.flags(), Level::INFO)?;
            wait(serve.run(config))
        }
        Command::Stdio(stdio) => {
            let config = configure(&stdio.flags(), Level::WARN)?;
            wait(stdio.run(config))
        }
        Command::Call(call) => {
            let config = configure(&call.flags(), Level::WARN)?;
            wait(call.run(config))
        }
        Command::Import(import) => {
            let config = configure(&import.flags(), Level::WARN)?;
            wait(import.run(config))
        }
        Command::Backup(backup) => {
            let config = configure(&backup.flags(), Level::WARN)?;
            wait(backup.run(config))
        }
        Command::Restore(restore) => {
            let config = configure(&restore.flags(), Level::WARN)?;
            wait(restore.run(config))
        }
        Command::RotateMasterKey(rotate) => {
            let config = configure(&rotate.flags(), Level::WARN)?;
            wait(rotate.run(config))
        }
        Command::Inspect(inspect) => {
            let config = configure(&inspect.flags(), Level::WARN)?;
            inspect.run(config)
        }
        Command::Config(config) => config.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "user-auth", &mut script);
            show::print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Loads the configuration, and begins the log with what there is to say about it.
/// What is at least of this level is logged, unless the configuration has another.
fn configure(flags: &Flags, level: Level) -> Result<Config, Failure> {
    let Loaded { config, warnings } = Config::load(flags)?;
    logging::start(level, &config.logging)?;
    for warning in warnings {
        warn!("{warning}");
    }
    Ok(config)
}

fn wait(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .map_err(|error| Failure::start(format!("the threads cannot be started: {error}")))?;
    let result = runtime.block_on(command);
    // A thread may be blocked in a read of standard input, which nothing ends.
    runtime.shutdown_background();
    result
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
    fn parsing(error: &clap::Error) -> Self {
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
