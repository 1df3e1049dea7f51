//! From the arguments of `call` to the input of an operation.

use std::io::{self, Read as _};

use serde_json::{Map, Value};

use super::{Failure, json};

/// What the operation's `input_schema` says about one property.
struct Property<'a>(Option<&'a Value>);

/// Reads `--json` and the `key=value` arguments; the latter win.
pub(super) fn parse(
    json: Option<&str>,
    pairs: &[String],
    schema: &Value,
) -> Result<Map<String, Value>, Failure> {
    let mut input = match json {
        None => Map::new(),
        Some("-") => object(&read_input()?)?,
        Some(text) => object(text)?,
    };
    for pair in pairs {
        let (key, value) = self::pair(pair, schema)?;
        input.insert(key, value);
    }
    Ok(input)
}

/// The required properties that are passwords and not there yet.
pub(super) fn missing_passwords<'a>(input: &Map<String, Value>, schema: &'a Value) -> Vec<&'a str> {
    schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|key| !input.contains_key(*key))
        .filter(|key| Property(schema["properties"].get(key)).is_password())
        .collect()
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    match json::parse(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage(
            "--json takes an object, such as '{\"username\": \"alice\"}'",
        )),
        Err(error) => Err(Failure::usage(format!("--json is not valid JSON: {error}"))),
    }
}

/// `key=value` or `key:=json`, whichever sign comes first.
fn pair(pair: &str, schema: &Value) -> Result<(String, Value), Failure> {
    let wrong = || {
        Failure::usage(format!(
            "'{pair}' is no argument: write key=value, or key:=json for what is not text"
        ))
    };
    let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
    if let Some(key) = key.strip_suffix(':') {
        let value = json::parse(value)
            .map_err(|error| Failure::usage(format!("the value of {key} is not JSON: {error}")))?;
        return Ok((key.to_owned(), value));
    }
    if key.is_empty() {
        return Err(wrong());
    }
    let property = Property(schema["properties"].get(key));
    Ok((key.to_owned(), property.read(key, value)?))
}

impl Property<'_> {
    /// Text, unless the schema asks for a number or a truth value.
    fn read(&self, key: &str, text: &str) -> Result<Value, Failure> {
        let expected = |kind| Failure::usage(format!("{key} takes {kind}, and not '{text}'"));
        if self.is("string") {
            return Ok(text.into());
        }
        if self.is("integer") {
            let number: i64 = text.parse().map_err(|_| expected("a whole number"))?;
            return Ok(number.into());
        }
        if self.is("boolean") {
            let truth: bool = text.parse().map_err(|_| expected("true or false"))?;
            return Ok(truth.into());
        }
        Ok(text.into())
    }

    fn is(&self, kind: &str) -> bool {
        match self.0.map(|schema| &schema["type"]) {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(several)) => several.iter().any(|one| one == kind),
            _ => false,
        }
    }

    fn is_password(&self) -> bool {
        self.0.is_some_and(|schema| schema["format"] == "password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "required": ["username", "password"],
            "properties": {
                "username": {"type": "string"},
                "password": {"type": "string", "format": "password"},
                "limit": {"type": ["integer", "null"]},
                "all": {"type": "boolean"},
            },
        })
    }

    fn read(pairs: &[&str]) -> Result<Value, String> {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        parse(None, &pairs, &schema())
            .map(Value::Object)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn values_have_the_type_that_the_schema_asks_for() {
        assert_eq!(
            read(&[
                "username=12=3",
                "limit=12",
                "all=true",
                "other=5",
                "raw:=[1]"
            ]),
            Ok(json!({"username": "12=3", "limit": 12, "all": true, "other": "5", "raw": [1]}))
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert!(read(&["alice"]).unwrap_err().contains("'alice'"));
        assert!(read(&["=x"]).is_err());
        assert!(
            read(&["limit=many"])
                .unwrap_err()
                .contains("limit takes a whole number")
        );
        assert!(read(&["a:={"]).unwrap_err().contains("not JSON"));
        assert!(parse(Some("[1]"), &[], &schema()).is_err());
    }

    #[test]
    fn pairs_win_over_json() {
        let input = parse(
            Some(r#"{"username": "a", "all": false}"#),
            &["username=b".into()],
            &schema(),
        );
        assert_eq!(
            Value::Object(input.unwrap()),
            json!({"username": "b", "all": false})
        );
    }

    #[test]
    fn only_required_passwords_are_asked_for() {
        assert_eq!(missing_passwords(&Map::new(), &schema()), ["password"]);
        let given = Map::from_iter([("password".to_owned(), "x".into())]);
        assert!(missing_passwords(&given, &schema()).is_empty());
    }
}
