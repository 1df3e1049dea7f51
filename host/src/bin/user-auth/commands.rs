//! The command line: one file for each command, with its arguments. Parts that several
//! commands share, such as options, configuration and output, are beside this folder.

mod backup;
mod call;
mod completion;
mod config;
mod import;
mod inspect;
mod man;
mod restore;
mod rotate;
mod serve;
mod stdio;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap_complete::Shell;
use tracing::Level;

use self::call::Call;
use crate::config::{Config, Flags, name_variables};
use crate::failure::Failure;
use crate::output::{self, help};
use crate::runtime::start;
use crate::{catalog, options};

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

#[derive(Subcommand)]
enum Command {
    /// Serve MCP over HTTP.
    Serve(serve::Serve),
    /// Serve MCP over standard input and output, one message per line.
    Stdio(stdio::Stdio),
    /// Run one operation.
    Call(Call),
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
    name_variables(command)
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    match completion::answer() {
        Ok(false) => {}
        Ok(true) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(rejected(&error)),
    }
    let matches = command().try_get_matches();
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => execute(cli.command),
        // Help and the version were requested, so they are not errors.
        Err(answer) if !answer.use_stderr() => answer.exit(),
        // The help explains what is missing, so it stands alone, with the exit code of an error.
        Err(help) if help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            help.exit()
        }
        Err(error) => Err(rejected(&error)),
    }
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
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
            output::print(&completion::script(shell)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(manual) => manual.run().map(|()| ExitCode::SUCCESS),
    }
}

/// Returns the failure for arguments that clap rejected.
fn rejected(error: &clap::Error) -> Failure {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && is_operation(word)
    {
        return Failure::usage(format!(
            "unknown command '{word}'; did you mean `user-auth call {word}`?"
        ));
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    Failure::usage(text.trim_end())
}

/// Returns whether the component has an operation of this name, or false if the
/// component cannot be read.
fn is_operation(name: &str) -> bool {
    Config::load(&Flags::default())
        .and_then(|loaded| catalog::operations_of(&loaded.config.component))
        .is_ok_and(|operations| operations.iter().any(|operation| operation.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
