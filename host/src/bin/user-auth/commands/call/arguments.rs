//! Converts the arguments of `call` to the input of an operation.

use std::collections::BTreeSet;
use std::io::{self, Read as _};

use serde_json::{Map, Value};
use user_auth_host::encoding;

use crate::catalog::{Field, Operation};
use crate::failure::Failure;
use crate::{json, nearest};

/// Parses `--json` and the `key=value` arguments; the latter take precedence.
pub(crate) fn parse(
    json: Option<&str>,
    pairs: &[String],
    operation: &Operation,
) -> Result<Map<String, Value>, Failure> {
    let mut input = match json {
        None => Map::new(),
        Some("-") => object(&read_input()?)?,
        Some(text) => object(text)?,
    };
    let mut seen = BTreeSet::new();
    for pair in pairs {
        let (key, value) = self::pair(pair, operation)?;
        if !seen.insert(key.clone()) {
            return Err(Failure::usage(format!("{key} is given twice")));
        }
        input.insert(key, value);
    }
    Ok(input)
}

fn read_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    encoding::text(&bytes)
        .map(str::to_owned)
        .map_err(|reason| Failure::usage(format!("standard input {reason}")))
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    match json::parse(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage(
            "--json needs an object, such as '{\"username\": \"alice\"}'",
        )),
        Err(error) => Err(Failure::usage(format!("--json is not valid JSON: {error}"))),
    }
}

/// Parses `key=value` or `key:=json`, whichever operator comes first.
fn pair(pair: &str, operation: &Operation) -> Result<(String, Value), Failure> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(no_pair(pair, operation));
    };
    let (key, is_json) = match key.strip_suffix(':') {
        Some(key) => (key, true),
        None => (key, false),
    };
    let field = operation.field(key);
    if field.is_none() && (key.is_empty() || operation.is_closed()) {
        return Err(unknown(key, operation));
    }
    let value = match field {
        field if is_json => {
            json::parse(value).map_err(|error| not_json(key, value, field.as_ref(), &error))?
        }
        Some(field) => read(&field, value)?,
        None => value.into(),
    };
    Ok((key.to_owned(), value))
}

/// Returns the failure for a value after `:=` that is not JSON. A secret is not shown.
fn not_json(
    key: &str,
    value: &str,
    field: Option<&Field<'_>>,
    error: &serde_json::Error,
) -> Failure {
    let hint = match field {
        Some(field) if field.is("string") && !field.is_secret() => {
            format!("text is written {key}={value}")
        }
        Some(field) => format!("write {}", field.usage()),
        None => format!("text is written {key}=TEXT"),
    };
    Failure::usage(format!(
        "the value of {key} is not JSON, which follows `:=`: {error}; {hint}"
    ))
}

/// Returns the failure for an argument without `=`. The argument may be a secret, and
/// is shown only if it resembles the name of a field.
fn no_pair(argument: &str, operation: &Operation) -> Failure {
    let (name, hint) = (&operation.name, fields_hint(operation));
    if let Some(field) = operation.field(argument) {
        let usage = field.usage();
        return Failure::usage(format!("{argument} has no value: write {usage}"));
    }
    let fields = operation.fields();
    let names = fields.iter().map(|field| field.name);
    match nearest::nearest(names, argument) {
        Some(meant) => Failure::usage(format!(
            "'{argument}' has no value; did you mean `{meant}=…`? {hint}"
        )),
        None => Failure::usage(format!(
            "the arguments of `{name}` are NAME=VALUE, or NAME:=JSON for values other than text; {hint}"
        )),
    }
}

fn unknown(key: &str, operation: &Operation) -> Failure {
    let (name, hint) = (&operation.name, fields_hint(operation));
    let fields = operation.fields();
    let names = fields.iter().map(|field| field.name);
    let meant = nearest::suggestion(names, key);
    Failure::usage(format!("{name} has no field '{key}'{meant} {hint}"))
}

fn fields_hint(operation: &Operation) -> String {
    format!(
        "`user-auth call {} --help` lists its fields",
        operation.name
    )
}

/// Parses text as the type in the schema.
fn read(field: &Field<'_>, text: &str) -> Result<Value, Failure> {
    let key = field.name;
    let expected = |kind| Failure::usage(format!("{key} must be {kind}, not '{text}'"));
    let choices = field.choices();
    if !choices.is_empty() && !choices.contains(&text) {
        let meant = nearest::nearest(choices.iter().copied(), text);
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?"));
        let choices = choices.join("`, `");
        return Err(Failure::usage(format!(
            "{key} must be one of `{choices}`, not '{text}'{}",
            meant.unwrap_or_default()
        )));
    }
    if field.is("string") {
        return Ok(text.into());
    }
    if field.is("integer") {
        let number: i64 = text.parse().map_err(|_| expected("a whole number"))?;
        return Ok(number.into());
    }
    if field.is("boolean") {
        let truth: bool = text.parse().map_err(|_| expected("true or false"))?;
        return Ok(truth.into());
    }
    if field.is_list() && text.trim_start().starts_with('[') {
        return Err(Failure::usage(format!(
            "{key} must be names separated by commas; to write JSON, use {key}:={text}"
        )));
    }
    if field.is_list() {
        let elements = text.split(',').map(str::trim);
        return Ok(elements.filter(|element| !element.is_empty()).collect());
    }
    if field.is("array") || field.is("object") {
        return Err(Failure::usage(format!(
            "{key} must be JSON: write {key}:=…"
        )));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::tests::{example, operation};

    fn read(pairs: &[&str]) -> Result<Value, String> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        parse(None, &pairs, &example())
            .map(Value::Object)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn values_have_the_type_in_the_schema() {
        assert_eq!(
            read(&[
                "username=12=3",
                "limit=12",
                "all=true",
                "picture=text",
                "scopes=a:b, c,",
                "raw:=[1]"
            ]),
            Ok(json!({
                "username": "12=3", "limit": 12, "all": true, "picture": "text",
                "scopes": ["a:b", "c"], "raw": [1],
            }))
        );
        assert_eq!(read(&["scopes="]), Ok(json!({"scopes": []})));
        let open = operation("anything", json!({}));
        let input = parse(None, &["other=5".into()], &open).unwrap();
        assert_eq!(Value::Object(input), json!({"other": "5"}));
    }

    #[test]
    fn errors_suggest_the_probable_name() {
        for (pairs, says) in [
            (
                &["usrname=alice"][..],
                "has no field 'usrname'; did you mean `username`?",
            ),
            (&["=x"], "has no field ''"),
            (
                &["scopes=[\"a:b\"]"],
                "to write JSON, use scopes:=[\"a:b\"]",
            ),
            (&["nothing_like_it=x"], "--help` lists its fields"),
            (&["username"], "username has no value: write username=TEXT"),
            (&["usernam"], "did you mean `username=…`?"),
            (&["limit=many"], "limit must be a whole number, not 'many'"),
            (&["all=si"], "all must be true or false"),
            (
                &["picture=txt"],
                "one of `none`, `text`, not 'txt'; did you mean `text`?",
            ),
            (&["raw=1"], "raw must be JSON: write raw:=…"),
            (&["raw:={"], "the value of raw is not JSON"),
            (&["raw:={"], "; write raw:=JSON"),
            (&["username:=nope"], "; text is written username=nope"),
            (&["limit:=many"], "; write limit=N"),
            (&["all=true", "all=false"], "all is given twice"),
        ] {
            let said = read(pairs).unwrap_err();
            assert!(said.contains(says), "{pairs:?}: {said}");
        }
        assert!(parse(Some("[1]"), &[], &example()).is_err());
    }

    #[test]
    fn an_argument_that_may_be_a_secret_is_not_shown() {
        for pairs in [
            &["correct horse battery"][..],
            &["password", "hunter2"],
            &["password:=hunter2"],
        ] {
            let said = read(pairs).unwrap_err();
            assert!(
                !said.contains("horse") && !said.contains("hunter2"),
                "{said}"
            );
        }
    }

    #[test]
    fn pairs_override_json() {
        let json = r#"{"username": "a", "all": false}"#;
        let input = parse(Some(json), &["username=b".into()], &example());
        assert_eq!(
            Value::Object(input.unwrap()),
            json!({"username": "b", "all": false})
        );
    }
}
