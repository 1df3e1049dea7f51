//! The types of configuration values.

use std::fmt;

use serde_json::Value;

/// The type of a configuration value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    /// A whole number between optional bounds.
    Integer(Option<u64>, Option<u64>),
    Number,
    Boolean,
    /// One of these words.
    Choice(Vec<String>),
    /// A list of texts.
    List,
    /// Any value that only a file can express.
    Any,
}

impl Kind {
    /// Returns the type that a schema describes.
    pub(crate) fn of(schema: &Value) -> Self {
        if let Some(words) = words(schema) {
            return Self::Choice(words);
        }
        let is = |wanted: &str| match &schema["type"] {
            Value::Array(types) => types.iter().any(|one| one == wanted),
            one => one == wanted,
        };
        let bound = |name: &str| schema[name].as_u64();
        if is("integer") {
            return Self::Integer(bound("minimum"), bound("maximum"));
        }
        if is("array") && schema["items"]["type"] == "string" {
            return Self::List;
        }
        for (name, kind) in [
            ("string", Self::Text),
            ("boolean", Self::Boolean),
            ("number", Self::Number),
        ] {
            if is(name) {
                return kind;
            }
        }
        Self::Any
    }

    /// Parses the text of an environment variable or option. Text of the wrong form
    /// stays text, which [`admits`](Self::admits) rejects.
    pub(crate) fn read(&self, text: &str) -> Value {
        let text = text.trim();
        match self {
            Self::Text => text.into(),
            Self::Choice(_) => text.to_lowercase().into(),
            Self::Boolean => truth(text).map_or_else(|| text.into(), Value::Bool),
            Self::List => text
                .split(',')
                .map(str::trim)
                .filter(|element| !element.is_empty())
                .collect(),
            Self::Integer(..) | Self::Number | Self::Any => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
        }
    }

    /// Returns whether the value is of this type.
    pub(crate) fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Choice(_) => value.is_string(),
            Self::Integer(low, high) => value.as_u64().is_some_and(|number| {
                low.is_none_or(|low| low <= number) && high.is_none_or(|high| number <= high)
            }),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::List => value
                .as_array()
                .is_some_and(|elements| elements.iter().all(Value::is_string)),
            Self::Any => true,
        }
    }
}

/// The description in error messages.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer(None, None) => f.write_str("a whole number"),
            Self::Integer(Some(low), None) => write!(f, "a whole number, at least {low}"),
            Self::Integer(low, Some(high)) => {
                write!(f, "a whole number from {} to {high}", low.unwrap_or(0))
            }
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("true or false"),
            Self::List => f.write_str("a list of text"),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                match words.split_last() {
                    Some((last, [])) => f.write_str(last),
                    Some((last, others)) => write!(f, "{} or {last}", others.join(", ")),
                    None => f.write_str("nothing"),
                }
            }
            Self::Any => f.write_str("another value"),
        }
    }
}

/// Returns the words that an `enum` or a `oneOf` of constants allows.
fn words(schema: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(words) = schema["enum"].as_array() {
        return Some(words.iter().filter_map(word).collect());
    }
    let variants = schema["oneOf"].as_array()?;
    variants.iter().map(|one| word(&one["const"])).collect()
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_parsed_by_type() {
        let port = Kind::Integer(Some(1), Some(9));
        assert_eq!(port.read(" 7 "), json!(7));
        assert!(port.admits(&json!(7)));
        for wrong in [json!(0), json!(10), json!(-1), json!(1.5), json!("7")] {
            assert!(!port.admits(&wrong), "{wrong}");
        }
        assert!(!port.admits(&port.read("seven")));
        for (text, truth) in [("1", true), ("No", false), ("TRUE", true), ("off", false)] {
            assert_eq!(Kind::Boolean.read(text), json!(truth));
        }
        assert!(!Kind::Boolean.admits(&Kind::Boolean.read("maybe")));
        assert_eq!(Kind::List.read("a, b,"), json!(["a", "b"]));
        assert!(!Kind::List.admits(&json!(["a", 1])));
        assert_eq!(
            Kind::Choice(vec!["info".into()]).read("INFO"),
            json!("info")
        );
        assert_eq!(Kind::Text.read("12"), json!("12"));
    }
}
