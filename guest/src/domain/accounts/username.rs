//! User names.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unicode::{trimmed, username_case_mapped};

/// The maximum length of an email address (RFC 5321 section 4.5.3.1.3).
const MAX_CHARS: usize = 254;

/// A user name in its canonical form: RFC 8265 section 3.3 (case-mapped), so that `Alice`
/// and `alice`, full-width and plain letters, and the two ways to write `é` are the same
/// name. 1 to 254 characters without spaces; surrounding spaces are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = MAX_CHARS))]
pub struct Username(String);

impl Username {
    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = String;

    fn try_from(text: String) -> Result<Username, Self::Error> {
        const EXPECTED: &str = "expected 1 to 254 letters, digits, or marks such as '.', '-', '_' \
            and '@', without spaces and control characters (RFC 8265 UsernameCaseMapped)";
        let text = trimmed(&text);
        // Checked before the tables are consulted: NFC composes at most four characters
        // into one.
        if text.chars().nth(MAX_CHARS * 4).is_some() {
            return Err(format!("it is too long; {EXPECTED}"));
        }
        let unfit = |unfit| format!("{unfit}; {EXPECTED}");
        let canonical = username_case_mapped(text).map_err(unfit)?;
        if canonical.chars().count() > MAX_CHARS {
            return Err(format!("it is too long; {EXPECTED}"));
        }
        // RFC 8264 section 7: the canonical form of a name is not always stable under the
        // same rules, and a user could never type such a name.
        match username_case_mapped(&canonical) {
            Ok(again) if again == canonical => Ok(Username(canonical)),
            _ => Err(format!("it has no canonical form; {EXPECTED}")),
        }
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
    fn spellings_of_the_same_name_have_one_canonical_form() {
        for spelling in ["Alice", "ALICE", "ａｌｉｃｅ"] {
            assert_eq!(canonical(spelling).as_deref(), Some("alice"));
        }
        assert_eq!(canonical("rene\u{301}"), canonical("ren\u{e9}"));
        assert_eq!(canonical("\u{212a}elvin").as_deref(), None, "Kelvin sign");
    }

    #[test]
    fn parsing_a_canonical_name_returns_it_unchanged() {
        for c in '\0'..=char::MAX {
            if let Some(name) = canonical(&format!("a{c}")) {
                assert_eq!(canonical(&name).as_ref(), Some(&name), "{c:?}");
            }
        }
        assert_eq!(
            canonical("\u{13b7}").as_deref(),
            Some("\u{ab87}"),
            "Cherokee"
        );
    }

    #[test]
    fn spaces_around_a_name_are_removed() {
        for text in [
            " alice",
            "alice\n",
            "\talice\u{a0}",
            "\u{feff}alice\u{3000}",
        ] {
            assert_eq!(canonical(text).as_deref(), Some("alice"), "{text:?}");
        }
    }

    #[test]
    fn email_addresses_are_accepted_as_names() {
        for text in ["alice+shop@mail.example.com", "o'brien@example.com"] {
            assert_eq!(canonical(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn name_errors_contain_the_rejected_character() {
        for (text, problem) in [
            ("", "it is empty"),
            (
                "al ice",
                "U+0020 at position 3 is a space; expected 1 to 254",
            ),
            (
                "al\u{7}ice",
                "U+0007 at position 3 is a control character; expected",
            ),
            (
                "henry\u{2163}",
                "U+2163 at position 6 is a character that is not allowed",
            ),
            ("\u{265a}", "U+265A at position 1 is a symbol; expected"),
            (
                "e\u{301}\u{200b}x",
                "U+200B at position 2 is an invisible character",
            ),
            ("a\u{5d0}", "it mixes letters"),
        ] {
            let error = Username::try_from(text.to_owned()).unwrap_err();
            assert!(error.starts_with(problem), "{text:?}: {error}");
        }
    }

    #[test]
    fn invalid_names_are_rejected() {
        for text in ["", " ", "a b", "a\nb", "a\0", "a\u{1b}[0m", "\u{200b}"] {
            assert_eq!(canonical(text), None, "{text:?}");
        }
        for letter in [
            "a",
            "é",
            "e\u{301}",
            "김",
            "\u{1112}\u{1161}\u{11ab}",
            "\u{2b820}",
        ] {
            let longest = canonical(&letter.repeat(254)).unwrap();
            assert_eq!(longest.chars().count(), 254);
            assert_eq!(canonical(&letter.repeat(255)), None);
        }
        assert_eq!(canonical(&"a".repeat(100_000)), None);
    }
}
