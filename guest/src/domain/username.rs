//! User names.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode::username_case_mapped;

const MAX_CHARS: usize = 64;

/// A user name in its canonical form: RFC 8265 section 3.3 (case-mapped), so
/// that `Alice` and `alice`, full-width and plain letters, and the two ways to
/// write `é` are one name. 1 to 64 characters, no blanks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 64))]
pub struct Username(String);

impl Username {
    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Username, Self::Error> {
        const EXPECTED: &str = "expected 1 to 64 letters, digits, or marks such as '.', '-', '_' \
            and '@', without blanks and control characters (RFC 8265 UsernameCaseMapped)";
        // Before the tables are asked: canonical forms grow by a small factor at most.
        if text.len() > MAX_CHARS * 8 {
            return Err(EXPECTED);
        }
        let canonical = username_case_mapped(&text).ok_or(EXPECTED)?;
        if canonical.is_empty() || canonical.chars().count() > MAX_CHARS {
            return Err(EXPECTED);
        }
        // RFC 8264 section 7: not every canonical form is its own canonical form,
        // as of upper-case Cherokee, and such a name could never be typed.
        if username_case_mapped(&canonical).as_ref() != Some(&canonical) {
            return Err(EXPECTED);
        }
        Ok(Username(canonical))
    }
}

impl From<Username> for String {
    fn from(username: Username) -> String {
        username.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Username;

    fn canonical(text: &str) -> Option<String> {
        Username::try_from(text.to_owned()).ok().map(String::from)
    }

    #[test]
    fn spellings_of_one_name_have_one_form() {
        for spelling in ["Alice", "ALICE", "ａｌｉｃｅ"] {
            assert_eq!(canonical(spelling).as_deref(), Some("alice"));
        }
        assert_eq!(canonical("rene\u{301}"), canonical("ren\u{e9}"));
        assert_eq!(canonical("\u{212a}elvin").as_deref(), None, "Kelvin sign");
    }

    #[test]
    fn a_name_that_was_taken_is_taken_again_as_it_is_stored() {
        for c in '\0'..=char::MAX {
            if let Some(name) = canonical(&format!("a{c}")) {
                assert_eq!(canonical(&name).as_ref(), Some(&name), "{c:?}");
            }
        }
        assert_eq!(canonical("\u{13b7}"), None, "Cherokee");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", " ", "a b", "a\nb", "a\0", "a\u{1b}[0m", "\u{200b}"] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        assert_eq!(canonical(&"a".repeat(64)).map(|name| name.len()), Some(64));
        assert_eq!(canonical(&"a".repeat(65)), None);
        assert_eq!(canonical(&"a".repeat(100_000)), None);
    }
}
