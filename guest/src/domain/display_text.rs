//! Short texts for people: names, and descriptions in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode::printable::problem_of_line;

const MAX_CHARS: usize = 100;

/// A text for people: 1 to 100 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_CHARS))]
pub struct DisplayText(String);

impl DisplayText {
    /// Returns a text of this service itself.
    pub fn own(text: &'static str) -> DisplayText {
        DisplayText(text.to_owned())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DisplayText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<DisplayText, Self::Error> {
        let is_long = text.chars().nth(MAX_CHARS).is_some();
        if text.trim().is_empty() || is_long {
            return Err("expected 1 to 100 characters");
        }
        problem_of_line(&text).map_or(Ok(DisplayText(text)), Err)
    }
}

impl From<DisplayText> for String {
    fn from(text: DisplayText) -> String {
        text.0
    }
}
