//! The properties of each code point. What the libraries keep to themselves is told
//! from what they do with texts in which that property decides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter;

use precis_core::profile::Rules;
use precis_core::{DerivedPropertyValue, FreeformClass, IdentifierClass, StringClass};
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use unicode_normalization::char::{canonical_combining_class, is_public_assigned};
use unicode_normalization::{IsNormalized, is_nfc_quick};

use super::Numbers;
use super::format::*;

/// Runs of code points alike: how many kinds there are, their flags and combining
/// classes; how many runs, their lengths, and the kind of each.
pub fn properties() -> Vec<u8> {
    let mut kinds: Vec<(u32, u8)> = Vec::new();
    let mut numbers = BTreeMap::new();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for code in 0..=u32::from(char::MAX) {
        // A surrogate is no character: the run before it goes on.
        let Some(c) = char::from_u32(code) else {
            if let Some((length, _)) = runs.last_mut() {
                *length += 1;
            }
            continue;
        };
        let kind = (flags(c), canonical_combining_class(c));
        let number = *numbers.entry(kind).or_insert_with(|| {
            kinds.push(kind);
            kinds.len() as u32 - 1
        });
        match runs.last_mut() {
            Some((length, last)) if *last == number => *length += 1,
            _ => runs.push((1, number)),
        }
    }
    let mut table = Numbers::default();
    table.push(kinds.len() as u32);
    for (flags, class) in kinds {
        table.push(flags);
        table.push(class.into());
    }
    table.push(runs.len() as u32);
    for (length, _) in &runs {
        table.push(*length);
    }
    for (_, number) in &runs {
        table.push(*number);
    }
    table.0
}

fn flags(c: char) -> u32 {
    // What is not assigned may not be written, and nothing is mapped to it.
    if !is_public_assigned(c) {
        return 0;
    }
    let classes = classes(c);
    // What no text may hold is the context of nothing.
    let context = if classes == 0 { 0 } else { context(c) };
    classes | mappings(c) | context | direction(c)
}

fn classes(c: char) -> u32 {
    use DerivedPropertyValue::{ContextJ, ContextO, PValid, SpecClassPval};
    match FreeformClass::default().get_value_from_char(c) {
        ContextJ | ContextO => BY_CONTEXT,
        PValid | SpecClassPval => match IdentifierClass::default().get_value_from_char(c) {
            PValid | SpecClassPval => IN_PASSWORDS | IN_NAMES,
            _ => IN_PASSWORDS,
        },
        _ => 0,
    }
}

/// What its mappings and NFC do with it.
fn mappings(c: char) -> u32 {
    let is_other = |mapped: Result<Cow<str>, _>| mapped.is_ok_and(|it| !it.chars().eq([c]));
    let mut flags = 0;
    if is_other(OpaqueString::new().additional_mapping_rule(c.to_string())) {
        flags |= SPACE;
    }
    if is_other(UsernameCaseMapped::new().width_mapping_rule(c.to_string())) {
        flags |= WIDE_OR_NARROW;
    }
    if is_nfc_quick(iter::once(c)) != IsNormalized::Yes {
        flags |= MAY_NORMALIZE;
    }
    flags
}

/// RFC 5892 appendix A. Each text has one character that needs a context, and the
/// context is there if the code point is what we ask for.
fn context(c: char) -> u32 {
    let allowed = |text: String| FreeformClass::default().allows(text).is_ok();
    if allowed(format!("{c}\u{30fb}")) {
        return KANA_OR_HAN;
    }
    let mut flags = 0;
    let mut set = |flag, is| flags |= if is { flag } else { 0 };
    // Beh joins on both sides, and the fatha is transparent and no virama.
    let joins_previous = allowed(format!("\u{628}\u{200c}{c}"));
    let after_joiner = allowed(format!("\u{628}\u{200c}{c}\u{628}"));
    set(JOINS_PREVIOUS, joins_previous);
    set(TRANSPARENT, after_joiner && !joins_previous);
    set(JOINS_NEXT, allowed(format!("{c}\u{64e}\u{200c}\u{628}")));
    set(VIRAMA, allowed(format!("{c}\u{200d}")));
    // Alpha and alef, so that keraia and geresh can be asked about themselves.
    set(GREEK, allowed(format!("\u{375}{c}\u{3b1}")));
    set(HEBREW, allowed(format!("\u{5d0}{c}\u{5f3}")));
    flags
}

/// RFC 5893 section 2. Left to right is what a text from right to left cannot hold, and
/// no other text is looked at.
fn direction(c: char) -> u32 {
    let satisfied = |text: String| UsernameCaseMapped::new().directionality_rule(text).is_ok();
    let ends = satisfied(format!("\u{5d0}{c}"));
    let goes_on = satisfied(format!("\u{5d0}{c}\u{5d0}"));
    match (ends, goes_on) {
        (false, false) => 0,
        (false, true) => NEUTRAL,
        (true, false) => NONSPACING,
        // Not together with an Arabic number.
        (true, true) if !satisfied(format!("\u{5d0}{c}\u{660}")) => EUROPEAN_NUMBER,
        (true, true) if satisfied(c.to_string()) => RIGHT_TO_LEFT,
        (true, true) => ARABIC_NUMBER,
    }
}
