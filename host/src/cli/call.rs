//! `user-auth call`.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use user_auth_host::api::{Caller, OperationError, Principal};

use super::config::{Config, Flags};
use super::delivery::Reach;
use super::nearest::nearest;
use super::open::open;
use super::options::Options;
use super::{Failure, arguments, show};

#[derive(Args)]
#[command(after_help = "\
The caller is the operator of this machine. Readable on a terminal, JSON when
piped. Exit codes: 0 done, 1 the operation failed, 2 wrong arguments, 3 the host
cannot start.

Examples:
  user-auth call register username=alice
  user-auth call login --json - < credentials.json
  echo '{\"token\": \"eyJ…\"}' | user-auth call verify_token --json -")]
pub(super) struct Call {
    /// The name of the operation
    operation: String,

    /// Its input: text as key=value, anything else as key:=json. A password
    /// that is left out is asked for
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,

    /// Its input as one JSON object; - reads it from standard input, where no other
    /// user of the machine sees a secret
    #[arg(long, value_name = "JSON")]
    json: Option<String>,

    #[command(flatten)]
    pub(super) options: Options,
}

/// What is needed of an element of `auth.operations`.
#[derive(Deserialize)]
struct Operation {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    input_schema: Value,
}

impl Call {
    pub(super) fn flags(&self) -> Flags {
        self.options.flags()
    }

    pub(super) async fn run(self, config: Config) -> Result<ExitCode, Failure> {
        let limits = config.limits.0.clone();
        let (plugin, _) = open(&config, limits, Reach::Operator).await?;
        let operations = plugin.operations().await.map_err(Failure::no_answer)?;
        let operations: Vec<Operation> = serde_json::from_str(&operations)
            .map_err(|error| Failure::start(format!("the component is broken: {error}")))?;
        let schema = &find(&operations, &self.operation)?.input_schema;
        let mut input = arguments::parse(self.json.as_deref(), &self.pairs, schema)?;
        ask_for_passwords(&mut input, schema)?;

        let caller = Caller {
            principal: Principal::Operator,
            source: None,
        };
        let input = Value::Object(input).to_string();
        let answer = plugin.invoke(caller, &self.operation, &input).await;
        plugin.drain().await;
        match answer {
            Ok(Ok(output)) => {
                show::print(&output_text(&output))?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(Err(error)) => {
                show::complain(&error_text(&error));
                Ok(ExitCode::from(1))
            }
            Err(error) => Err(Failure::no_answer(error)),
        }
    }
}

fn find<'a>(operations: &'a [Operation], name: &str) -> Result<&'a Operation, Failure> {
    if let Some(found) = operations.iter().find(|operation| operation.name == name) {
        return Ok(found);
    }
    let mut message = format!("there is no operation '{name}'");
    let names = operations.iter().map(|operation| operation.name.as_str());
    if let Some(nearest) = nearest(names, name) {
        message += &format!("; did you mean `{nearest}`?");
    }
    message += "\n\noperations:";
    let width = operations.iter().map(|one| one.name.len()).max();
    let width = width.unwrap_or_default();
    for Operation { name, title, .. } in operations {
        message += &format!("\n  {name:<width$}  {title}");
    }
    Err(Failure::usage(message))
}

fn ask_for_passwords(input: &mut Map<String, Value>, schema: &Value) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    for key in arguments::missing_passwords(input, schema) {
        let password = rpassword::prompt_password(format!("{key}: "))
            .map_err(|error| Failure::usage(format!("{key} could not be asked for: {error}")))?;
        input.insert(key.to_owned(), password.into());
    }
    Ok(())
}

fn output_text(output: &str) -> String {
    if !io::stdout().is_terminal() {
        return show::json_line(output);
    }
    match serde_json::from_str(output) {
        Ok(Value::Object(object)) => show::lines(&object, "", show::wants_colour()),
        _ => format!("{}\n", show::printable(output)),
    }
}

fn error_text(error: &OperationError) -> String {
    let details = serde_json::from_str(&error.details).unwrap_or_else(|_| json!({}));
    if !io::stderr().is_terminal() {
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
        return show::json_line(&error.to_string());
    }
    let mut text = format!(
        "error: {} ({})\n",
        show::printable(&error.message),
        error.code
    );
    if let Value::Object(details) = details {
        text += &show::lines(&details, "  ", show::wants_colour());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let operations: Vec<Operation> = ["login", "logout", "verify_token"]
            .map(|name| Operation {
                name: name.into(),
                title: String::new(),
                input_schema: Value::Null,
            })
            .into();
        let nearest = |name| {
            let names = operations.iter().map(|operation| operation.name.as_str());
            nearest(names, name)
        };
        assert_eq!(nearest("lgoin"), Some("login"));
        assert_eq!(nearest("verify-token"), Some("verify_token"));
        assert_eq!(nearest("something_else"), None);
        let Err(failure) = find(&operations, "lgoin") else {
            panic!("there is no such operation");
        };
        assert_eq!(failure.code, 2);
        assert!(
            failure
                .message
                .contains("did you mean `login`?\n\noperations:\n  login")
        );
    }
}
