//! The PRECIS profiles that names and passwords follow: RFC 8265. The order of their
//! rules is that of RFC 8264 section 7.

use zeroize::Zeroizing;

use super::decompositions::width_mapped;
use super::format::{BY_CONTEXT, IN_NAMES, IN_PASSWORDS, SPACE, WIDE_OR_NARROW};
use super::normalization::{characters, nfc, string};
use super::properties::is;
use super::{bidi, context};

/// The profile UsernameCaseMapped, section 3.3; `None`: this is no name.
pub fn username_case_mapped(text: &str) -> Option<String> {
    if text.is_ascii() {
        let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        return is_name.then(|| text.to_ascii_lowercase());
    }
    let mut characters = characters(text);
    for c in characters.iter_mut().filter(|c| is(**c, WIDE_OR_NARROW)) {
        *c = width_mapped(*c);
    }
    if !allows(IN_NAMES, &characters) {
        return None;
    }
    let mut lower = Vec::with_capacity(text.len());
    for c in characters.iter() {
        // Each letter by itself, so that no sigma is a final one: a name may go on.
        lower.extend(c.to_lowercase());
    }
    let normal = nfc(&lower);
    bidi::is_satisfied(&normal).then(|| string(&normal))
}

/// The profile OpaqueString, section 4.2; `None`: this is no password.
pub fn opaque_string(text: &str) -> Option<Zeroizing<String>> {
    if text.is_ascii() {
        let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let is_password = !text.is_empty() && text.bytes().all(is_plain);
        return is_password.then(|| Zeroizing::new(text.to_owned()));
    }
    let mut characters = characters(text);
    if !allows(IN_PASSWORDS, &characters) {
        return None;
    }
    for c in characters.iter_mut().filter(|c| is(**c, SPACE)) {
        *c = ' ';
    }
    Some(Zeroizing::new(string(&nfc(&characters))))
}

/// Whether a class (a constant of `format`) holds every character of a text.
fn allows(class: u32, text: &[char]) -> bool {
    let allowed = |place| {
        let (before, rest) = text.split_at_checked(place)?;
        let (c, after) = rest.split_first()?;
        Some(is(*c, class) || is(*c, BY_CONTEXT) && context::allows(before, *c, after))
    };
    (0..text.len()).all(|place| allowed(place) == Some(true))
}
