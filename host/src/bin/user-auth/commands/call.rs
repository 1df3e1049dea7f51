//! The command `user-auth call`.

mod arguments;
mod next_step;
mod prompt;

use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde_json::{Map, Value, json};
use tracing::Level;
use user_auth_host::api::{Caller, OperationError, Principal};

use self::prompt::Piped;
use super::{command, completion};
use crate::bootstrap::open;
use crate::catalog::{self, Operation};
use crate::config::{Config, Flags};
use crate::delivery::Reach;
use crate::failure::Failure;
use crate::options::{Options, OutputOptions};
use crate::output::{self, Screen, answer, help};
use crate::runtime::configure;

#[derive(Args)]
#[command(disable_help_flag = true, override_usage = USAGE, after_help = AFTER_HELP)]
pub(crate) struct Call {
    /// The name of the operation
    #[arg(add = ArgValueCompleter::new(completion::operations))]
    pub(crate) operation: Option<String>,

    /// Its fields: text as NAME=VALUE, a list as NAME=A,B, anything else as NAME:=JSON.
    /// The command asks for a secret that is left out
    #[arg(value_name = "NAME=VALUE", add = ArgValueCompleter::new(completion::fields))]
    pairs: Vec<String>,

    /// Its input as one JSON object; - reads it from standard input, where other users
    /// of the machine cannot see a secret
    #[arg(long, value_name = "JSON")]
    json: Option<String>,

    /// Read a secret that is left out from standard input: one line, or one for each
    /// secret
    #[arg(long)]
    password_stdin: bool,

    /// End or delete something without asking for confirmation
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    output: OutputOptions,

    #[command(flatten)]
    options: Options,

    /// Print help; after an operation, on that operation
    #[arg(long, short)]
    pub(crate) help: bool,
}

const USAGE: &str = "user-auth call <OPERATION> [NAME=VALUE]... [OPTIONS]";

/// The detail of an error that names the next step.
const NEXT_STEP: &str = "next";

const AFTER_HELP: &str = "\
The caller is the operator of this machine. `user-auth call --help` lists the
operations, `user-auth call OPERATION --help` the fields of one.

On a terminal, operations that end something ask for confirmation; in scripts they do not.
Exit codes: 0 done, 1 the operation failed or was not confirmed, 2 wrong arguments,
3 the host cannot start.

Examples:
  user-auth call register username=alice
  user-auth call login --json - < credentials.json
  user-auth call login username=bob --password-stdin < file
  user-auth call list_users --output json";

impl Call {
    pub(crate) fn flags(&self) -> Flags {
        let mut flags = self.options.flags();
        flags.all_operations();
        flags
    }

    /// Prints the help on the operation, or on all of them.
    pub(crate) fn print_help(&self) -> Result<ExitCode, Failure> {
        let screen = Screen::of_output();
        let operations = configure(&self.flags(), Level::WARN)
            .and_then(|config| catalog::operations_of(&config.component));
        let text = match (&self.operation, operations) {
            (None, Ok(operations)) => help::of_call(command(), &operations, screen),
            (None, Err(_)) => help::of_call(command(), &[], screen),
            (Some(name), operations) => {
                help::of_operation(catalog::find(&operations?, name)?, screen)
            }
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    pub(crate) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let piped = self.piped()?;
        let Some(name) = &self.operation else {
            return Err(Failure::usage(
                "name an operation; `user-auth call --help` lists them",
            ));
        };
        let limits = config.limits.0.clone();
        let (plugin, _) = open(&config, limits, Reach::Operator).await?;
        let operations = catalog::operations(&plugin).await?;
        let operation = catalog::find(&operations, name)?;
        let mut input = arguments::parse(self.json.as_deref(), &self.pairs, operation)?;
        prompt::complete(&mut input, operation, piped)?;
        if operation.needs_confirmation() && !self.yes && !prompt::confirm(operation, &input)? {
            output::print_error("nothing was changed\n");
            return Ok(ExitCode::from(1));
        }
        let screen = Screen::of_output();
        let is_json = self.output.is_json(screen);
        if !is_json {
            ask_for_picture(&mut input, operation);
        }

        let caller = Caller {
            principal: Principal::Operator,
            source: None,
        };
        let input = Value::Object(input).to_string();
        let answer = plugin.invoke(caller, name, &input).await;
        plugin.drain().await;
        match answer {
            Ok(Ok(output)) => {
                output::print(&output_text(&output, operation, is_json, screen))?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(Err(error)) => {
                let screen = Screen::of_errors();
                output::print_error(&error_text(&error, self.output.is_json(screen), screen));
                Ok(ExitCode::from(1))
            }
            Err(error) => Err(Failure::no_answer(error)),
        }
    }

    fn piped(&self) -> Result<Piped, Failure> {
        match (self.password_stdin, self.json.as_deref()) {
            (true, Some("-")) => Err(Failure::usage(
                "`--password-stdin` and `--json -` both read standard input: use one of them",
            )),
            (true, _) => Ok(Piped::Secrets),
            (false, Some("-")) => Ok(Piped::Input),
            (false, _) => Ok(Piped::Nothing),
        }
    }
}

/// Asks for the QR code as terminal text, if the operation has one.
fn ask_for_picture(input: &mut Map<String, Value>, operation: &Operation) {
    let field = operation.field("qr");
    let can_be_shown = field.is_some_and(|field| field.choices().contains(&"text"));
    if can_be_shown && !input.contains_key("qr") {
        input.insert("qr".to_owned(), "text".into());
    }
}

fn output_text(output: &str, operation: &Operation, is_json: bool, screen: Screen) -> String {
    let value = serde_json::from_str::<Value>(output);
    match value {
        Ok(value) if !is_json => answer::for_people(value, operation, screen),
        Ok(value) if screen.width.is_some() => output::json_line(&format!("{value:#}")),
        Ok(_) => output::json_line(output),
        Err(_) => format!("{}\n", output::printable(output)),
    }
}

fn error_text(error: &OperationError, is_json: bool, screen: Screen) -> String {
    let details = serde_json::from_str(&error.details).unwrap_or_else(|_| json!({}));
    if is_json {
        let error = json!({
            "error": {
                "code": error.code,
                "message": error.message,
                "data": {
                    "operation": error.operation,
                    "module": "UserAuth",
                    "timestamp": error.timestamp,
                    "details": details,
                },
            },
        });
        return match screen.width {
            Some(_) => output::json_line(&format!("{error:#}")),
            None => output::json_line(&error.to_string()),
        };
    }
    let message = output::printable(&error.message);
    let mut text = screen.wrapped(&format!("error: {message} ({})\n", error.code));
    let Value::Object(mut details) = details else {
        return text;
    };
    let command = details.get(NEXT_STEP).and_then(next_step::command);
    if command.is_some() {
        details.remove(NEXT_STEP);
    }
    text += &screen.lines(&details, "  ");
    if let Some(command) = command {
        // Not wrapped, so that it can be copied.
        text += &format!("try: {command}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Screen = Screen {
        width: Some(80),
        has_colour: false,
    };

    fn unknown_user(next: Value) -> OperationError {
        OperationError {
            code: -32000,
            message: "There is no such user".to_owned(),
            operation: "get_user".to_owned(),
            timestamp: "2026-11-22T19:13:18.312Z".to_owned(),
            details: json!({"next": next, "username": "nobody"}).to_string(),
        }
    }

    #[test]
    fn people_get_the_next_step_as_a_command() {
        let next = json!({"tool": "user-auth_list_users", "arguments": {"search": "nobody"}});
        let error = unknown_user(next.clone());
        assert_eq!(
            error_text(&error, false, SCREEN),
            "error: There is no such user (-32000)\n  username: nobody\n\
             try: user-auth call list_users search=nobody\n"
        );
        let json: Value = serde_json::from_str(&error_text(&error, true, SCREEN)).unwrap();
        assert_eq!(json["error"]["data"]["details"]["next"], next);
    }

    #[test]
    fn a_step_that_is_no_operation_is_shown_as_it_is() {
        let text = error_text(&unknown_user(json!({"tool": "other"})), false, SCREEN);
        assert!(text.contains("tool: other"), "{text}");
        assert!(!text.contains("try:"), "{text}");
    }
}
