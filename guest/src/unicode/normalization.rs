//! Normalization forms: UAX #15.

use zeroize::Zeroizing;

use super::decompositions::{Form, compose, decompose};
use super::format::MAY_NORMALIZE;
use super::properties::Properties;

/// Normalization Form C. What was in the buffers is wiped: it may be a password.
pub fn nfc(text: &[char]) -> Zeroizing<Vec<char>> {
    if is_nfc(text) {
        return Zeroizing::new(text.to_vec());
    }
    normalize(text, Form::Canonical)
}

/// Normalization Form KC, wiped when dropped as all that was on the way to it.
pub fn nfkc(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        return Zeroizing::new(text.to_owned());
    }
    Zeroizing::new(string(&normalize(&characters(text), Form::Compatible)))
}

/// The characters of a text, in a buffer that did not grow and leave copies behind.
pub fn characters(text: &str) -> Zeroizing<Vec<char>> {
    let mut characters = Zeroizing::new(Vec::with_capacity(text.len()));
    characters.extend(text.chars());
    characters
}

/// The reverse.
pub fn string(characters: &[char]) -> String {
    let length = characters.iter().map(|c| c.len_utf8()).sum();
    let mut text = String::with_capacity(length);
    text.extend(characters);
    text
}

/// Quick check, UAX #15 section 9: most texts are as they should be, and so most calls
/// need no table of decompositions. `false`: perhaps not.
fn is_nfc(text: &[char]) -> bool {
    let mut last = 0;
    text.iter().all(|c| {
        let properties = Properties::of(*c);
        let class = properties.combining_class;
        let in_order = class == 0 || last <= class;
        last = class;
        in_order && !properties.any(MAY_NORMALIZE)
    })
}

/// A character and its combining class.
type Classified = (u8, char);

fn normalize(text: &[char], form: Form) -> Zeroizing<Vec<char>> {
    let mut length = 0;
    for c in text {
        decompose(*c, form, &mut |_| length += 1);
    }
    let mut ordered = Zeroizing::new(Vec::with_capacity(length));
    for c in text {
        decompose(*c, form, &mut |c| insert(&mut ordered, c));
    }
    recompose(&ordered)
}

/// The Canonical Ordering Algorithm: a mark goes before those of a higher class. There
/// are few to go past, and in the longest password some hundreds.
fn insert(ordered: &mut Vec<Classified>, c: char) {
    let class = Properties::of(c).combining_class;
    let stays = |(other, _): &Classified| class == 0 || *other <= class;
    let place = ordered.iter().rposition(stays);
    ordered.insert(place.map_or(0, |last| last + 1), (class, c));
}

/// The Canonical Composition Algorithm: a character joins the last starter before it,
/// unless one in between, that stayed, is of its own class or a higher one.
fn recompose(ordered: &[Classified]) -> Zeroizing<Vec<char>> {
    let mut composed = Zeroizing::new(Vec::with_capacity(ordered.len()));
    let mut starter = None;
    // Of what stayed between the starter and here.
    let mut last_class = None;
    for (class, c) in ordered {
        let blocked = last_class.is_some_and(|last| last >= *class);
        let base = starter.and_then(|place| composed.get_mut(place));
        if let Some(base) = base
            && !blocked
            && let Some(both) = compose(*base, *c)
        {
            *base = both;
            continue;
        }
        if *class == 0 {
            starter = Some(composed.len());
            last_class = None;
        } else {
            last_class = Some(*class);
        }
        composed.push(*c);
    }
    composed
}
