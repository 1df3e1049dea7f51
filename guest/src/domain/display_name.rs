//! Names that administrators give to things, for the people who see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode::printable::problem_of_line;

const MAX_CHARS: usize = 100;

/// A name for people: 1 to 100 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_CHARS))]
pub struct DisplayName(String);

impl DisplayName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DisplayName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<DisplayName, Self::Error> {
        let is_long = text.chars().nth(MAX_CHARS).is_some();
        if text.trim().is_empty() || is_long {
            return Err("expected 1 to 100 characters");
        }
        problem_of_line(&text).map_or(Ok(DisplayName(text)), Err)
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> String {
        name.0
    }
}
