//! Short texts for people: names, and descriptions in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode;
use crate::unicode::printable::{is_deceptive, problem_of_line};

/// A text for people: 1 to 100 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = DisplayText::MAX_CHARS))]
pub struct DisplayText(String);

impl DisplayText {
    /// The most characters.
    pub const MAX_CHARS: usize = 100;

    /// Returns a text of this service itself.
    pub fn own(text: &'static str) -> DisplayText {
        DisplayText(text.to_owned())
    }

    /// Makes a text fit to be shown to people who have no reason to trust its author: in
    /// Normalization Form C, without control characters and invisible characters, and cut
    /// after 100 characters. Returns `None` if nothing is left.
    pub fn cleaned(text: &str) -> Option<DisplayText> {
        let visible = &mut text.chars().filter(|character| !is_deceptive(*character));
        let normal = unicode::nfc(text.len(), visible);
        let cut: String = normal.trim().chars().take(DisplayText::MAX_CHARS).collect();
        DisplayText::try_from(cut.trim_end().to_owned()).ok()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DisplayText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<DisplayText, Self::Error> {
        let is_long = text.chars().nth(DisplayText::MAX_CHARS).is_some();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleaned_text_is_one_short_visible_line() {
        for (given, expected) in [
            ("Desk", Some("Desk")),
            (" a\u{202e}b\r\nc\u{200b} ", Some("abc")),
            ("u\u{308}", Some("\u{fc}")),
            ("\u{2066}\u{feff} ", None),
            ("", None),
        ] {
            let cleaned = DisplayText::cleaned(given);
            assert_eq!(cleaned.as_ref().map(DisplayText::as_str), expected);
        }
        let long = DisplayText::cleaned(&"\u{e4}".repeat(10_000)).unwrap();
        assert_eq!(long.as_str().chars().count(), DisplayText::MAX_CHARS);
    }
}
