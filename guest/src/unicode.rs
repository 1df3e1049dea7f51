//! The text rules of user names and passwords: the profiles of RFC 8265, over the tables
//! of ICU4X. ASCII text is checked without tables.

mod bidi;
mod classes;
mod context;
#[cfg(test)]
mod oracles;
pub mod printable;
mod profiles;
mod unfit;

use icu_normalizer::ComposingNormalizerBorrowed;
use zeroize::Zeroizing;

pub use profiles::{opaque_string, username_case_mapped};
pub use unfit::Unfit;

/// The version of Unicode that the tables implement.
pub const VERSION: &str = "18.0";

// The factors by which the bytes of a text can grow in these forms, from the FAQ of the
// Unicode Consortium on normalization.
const NFC_GROWTH: usize = 3;
const NFKC_GROWTH: usize = 11;

/// Returns the Normalization Form KC (UAX #15), wiped when dropped.
pub fn nfkc(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        return Zeroizing::new(text.to_owned());
    }
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    normalized(normalizer, text.len() * NFKC_GROWTH, &mut text.chars())
}

/// Returns the Normalization Form C of characters made from a text of this many bytes,
/// with at most one character for each of the text's.
pub fn nfc(bytes: usize, characters: &mut dyn Iterator<Item = char>) -> Zeroizing<String> {
    let normalizer = ComposingNormalizerBorrowed::new_nfc();
    normalized(normalizer, bytes * NFC_GROWTH, characters)
}

/// Normalizes into a buffer that does not grow and leave copies behind, since the text may
/// be a password. All callers share this function, because the normalizer is compiled once
/// for each kind of iterator.
fn normalized(
    normalizer: ComposingNormalizerBorrowed<'static>,
    most_bytes: usize,
    characters: &mut dyn Iterator<Item = char>,
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(most_bytes));
    text.extend(normalizer.normalize_iter(characters));
    text
}

/// Removes surrounding spaces, including those without width, which come with text copied
/// from pages and files.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}'))
}

/// Removes what may separate the characters of a code that was typed or copied: spaces and
/// line breaks of any kind, and hyphens, which word processors replace with other dashes
/// (U+2010 to U+2015).
pub fn without_separators(typed: &str) -> impl Iterator<Item = char> {
    let is_hyphen = |c: char| c == '-' || ('\u{2010}'..='\u{2015}').contains(&c);
    typed
        .chars()
        .filter(move |c| !c.is_whitespace() && !is_hyphen(*c))
}

#[cfg(test)]
mod tests {
    use super::trimmed;

    #[test]
    fn spaces_of_every_kind_are_trimmed() {
        for text in [
            " a b",
            "a b\r\n",
            "\u{feff}a b\u{a0}\u{3000}",
            "\ta b\u{200b}",
        ] {
            assert_eq!(trimmed(text), "a b", "{text:?}");
        }
    }
}
