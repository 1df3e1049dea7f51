//! The PRECIS profiles of user names and passwords: RFC 8265.

use std::iter;

use zeroize::Zeroizing;

use super::classes::{self, Standing};
use super::{Unfit, bidi, context, nfc, nfkc};

/// Applies the profile UsernameCaseMapped, section 3.3.
///
/// The class is checked after NFC, not before: a keyboard or a file system that writes `김`
/// as three jamo, or `য়` as one character instead of two, writes the same name.
pub fn username_case_mapped(text: &str) -> Result<String, Unfit> {
    if text.is_ascii() {
        all_allowed(text, |_, c| c.is_ascii_graphic())?;
        return Ok(text.to_ascii_lowercase());
    }
    all_allowed(text, |_, c| !becomes_ascii(c))?;
    let normal = nfc(text.len(), &mut text.chars().map(width_mapped));
    in_names(&normal)?;
    // Each letter is mapped by itself, so that no sigma becomes a final one: the name may
    // continue.
    let mut lower = normal.chars().flat_map(char::to_lowercase);
    let canonical = nfc(normal.len() * 2, &mut lower).to_string();
    // The compiler's tables may be of an earlier version and lack the case of a newer
    // character.
    all_allowed(&canonical, |_, c| !classes::is_upper_case(c))?;
    match bidi::is_satisfied(&canonical) {
        true => Ok(canonical),
        false => Err(Unfit::Direction),
    }
}

/// Applies the profile OpaqueString, section 4.2, with the class of
/// `classes::in_passwords`.
pub fn opaque_string(text: &str) -> Result<Zeroizing<String>, Unfit> {
    if text.is_ascii() {
        all_allowed(text, |_, c| c == ' ' || c.is_ascii_graphic())?;
        return Ok(Zeroizing::new(text.to_owned()));
    }
    all_allowed(text, |before, c| classes::in_passwords(c, before))?;
    let mut spaced = text.chars().map(|c| match classes::is_blank(c) {
        true => ' ',
        false => c,
    });
    Ok(nfc(text.len(), &mut spaced))
}

/// Fails at the first character that is not allowed after those before it, and for an
/// empty text.
fn all_allowed(text: &str, allowed: impl Fn(&str, char) -> bool) -> Result<(), Unfit> {
    if text.is_empty() {
        return Err(Unfit::Empty);
    }
    for (index, (at, c)) in text.char_indices().enumerate() {
        let before = &text[..at];
        if !allowed(before, c) {
            return Err(Unfit::at(index, c));
        }
    }
    Ok(())
}

fn in_names(text: &str) -> Result<(), Unfit> {
    let text: Vec<char> = text.chars().collect();
    for (index, c) in text.iter().copied().enumerate() {
        let (before, rest) = text.split_at(index);
        let may_stand = match classes::in_names(c) {
            Standing::Allowed => true,
            Standing::ByContext => context::allows(before, c, &rest[1..]),
            Standing::Refused => false,
        };
        if !may_stand {
            return Err(Unfit::at(index, c));
        }
    }
    Ok(())
}

/// Reports whether NFC turns the character into ASCII, like the Kelvin sign. A character
/// that looks different to people must not produce the name of another user.
fn becomes_ascii(c: char) -> bool {
    !c.is_ascii() && nfc(c.len_utf8(), &mut iter::once(c)).contains(|c: char| c.is_ascii())
}

/// Returns what a full-width or half-width form maps to (section 3.3.1, UAX #11), and any
/// other character unchanged. A half-width jamo maps to a letter that names must not
/// contain, and is not allowed in its original form either.
fn width_mapped(c: char) -> char {
    if !matches!(c, '\u{ff00}'..='\u{ffef}') {
        return c;
    }
    let narrow = nfkc(c.encode_utf8(&mut [0; 4]));
    let mut narrow = narrow.chars();
    match (narrow.next(), narrow.next()) {
        (Some(only), None) if !classes::is_conjoining_jamo(only) => only,
        _ => c,
    }
}
