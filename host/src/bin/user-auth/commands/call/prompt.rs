//! Prompts at the terminal: for secrets, and to confirm that something is to be ended.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde_json::{Map, Value};
use user_auth_host::encoding;

use crate::catalog::{Field, Operation};
use crate::failure::Failure;
use crate::output;

/// The part of the input that comes from standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piped {
    Nothing,
    /// The whole input, as JSON.
    Input,
    /// The missing secrets, one per line.
    Secrets,
}

/// Adds the required secrets that are missing: from standard input if they are piped,
/// otherwise from prompts at the terminal. Fails before any prompt if anything else is
/// missing.
pub(crate) fn complete(
    input: &mut Map<String, Value>,
    operation: &Operation,
    piped: Piped,
) -> Result<(), Failure> {
    let name = &operation.name;
    let missing = operation
        .fields()
        .into_iter()
        .filter(|field| field.is_required && !input.contains_key(field.name));
    let (secrets, others): (Vec<Field<'_>>, Vec<Field<'_>>) = missing.partition(Field::is_secret);
    if let Some(other) = others.first() {
        let usage = other.usage();
        return Err(Failure::usage(format!(
            "{name} needs {usage}; `user-auth call {name} --help` lists its fields"
        )));
    }
    if secrets.is_empty() && piped == Piped::Secrets {
        return Err(Failure::usage(format!(
            "`--password-stdin` has no secret to read: none is missing for {name}"
        )));
    }
    let is_terminal = io::stdin().is_terminal();
    for field in secrets {
        let secret = match piped {
            _ if is_terminal => prompt(&field, operation.sets_password(&field))?,
            Piped::Secrets => read_line(&field)?,
            Piped::Input => {
                return Err(Failure::usage(format!(
                    "{name} needs {}, which is missing from the JSON on standard input",
                    field.name
                )));
            }
            Piped::Nothing => {
                return Err(Failure::usage(format!(
                    "{name} needs {}, but standard input is not a terminal for a prompt: pipe it with \
                     `--password-stdin`, or the whole input with `--json -`",
                    field.name
                )));
            }
        };
        input.insert(field.name.to_owned(), secret.into());
    }
    Ok(())
}

fn prompt(field: &Field<'_>, is_new: bool) -> Result<String, Failure> {
    let key = field.name;
    let ask = |text: String| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::usage(format!("cannot prompt for {key}: {error}")))
    };
    let secret = ask(format!("{key}: "))?;
    if is_new && ask(format!("{key} again: "))? != secret {
        return Err(Failure::usage(format!(
            "the two entries of {key} differ; nothing was changed"
        )));
    }
    Ok(secret)
}

/// Reads one line of standard input, without its end.
fn read_line(field: &Field<'_>) -> Result<String, Failure> {
    let unusable =
        |problem: String| Failure::usage(format!("{} on standard input {problem}", field.name));
    let mut line = Vec::new();
    io::stdin()
        .lock()
        .read_until(b'\n', &mut line)
        .map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let line = encoding::text(&line).map_err(unusable)?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err(unusable("is missing: one line is expected".to_owned())),
        line => Ok(line.to_owned()),
    }
}

/// Asks for confirmation of an operation, and returns the decision. Without a terminal
/// the answer is yes, since scripts are explicit.
pub(crate) fn confirm(operation: &Operation, input: &Map<String, Value>) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    let question = question(operation, input);
    let mut answer = String::new();
    let mut asked = io::stderr();
    asked
        .write_all(question.as_bytes())
        .and_then(|()| asked.flush())
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| {
            let problem = "cannot ask for confirmation";
            Failure::usage(format!(
                "{problem}: {error}; `--yes` runs the operation without asking"
            ))
        })?;
    let answer = answer.trim().to_lowercase();
    Ok(answer == "y" || answer == "yes")
}

fn question(operation: &Operation, input: &Map<String, Value>) -> String {
    let what = match operation.title.as_str() {
        "" => &operation.name,
        title => title,
    };
    let is_shown = |name: &str| {
        operation
            .field(name)
            .is_some_and(|field| !field.is_secret())
    };
    let named: Vec<String> = input
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        })
        .collect();
    let question = if named.is_empty() {
        format!("{what}?")
    } else {
        format!("{what}: {}?", named.join(", "))
    };
    format!("{} [y/N] ", output::printable(&question))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::tests::operation;

    #[test]
    fn the_question_names_the_input_but_no_secret() {
        let schema = json!({"properties": {
            "access_token": {"type": "string", "format": "password"},
            "username": {"type": "string"},
        }});
        let operation = operation("delete_user", schema);
        let input = json!({"access_token": "eyJ", "username": "al\u{202e}ice"});
        assert_eq!(
            question(&operation, input.as_object().unwrap()),
            "delete_user: username al\\u{202e}ice? [y/N] "
        );
        assert_eq!(question(&operation, &Map::new()), "delete_user? [y/N] ");
    }

    #[test]
    fn missing_fields_are_reported_before_any_prompt() {
        let operation = crate::catalog::tests::example();
        let failure = complete(&mut Map::new(), &operation, Piped::Nothing).unwrap_err();
        assert!(failure.message.starts_with("register needs username=TEXT;"));
        let mut input =
            Map::from_iter(["username", "password"].map(|key| (key.into(), "x".into())));
        let failure = complete(&mut input, &operation, Piped::Secrets).unwrap_err();
        assert!(failure.message.contains("no secret to read"));
    }
}
