//! What code points decompose to, and which pairs compose: UAX #15. Hangul syllables
//! are left to arithmetic.

use std::io;

use precis_core::profile::Rules;
use precis_profiles::UsernameCaseMapped;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{compose, is_public_assigned};

use super::Numbers;
use super::format::*;

struct Decomposition {
    of: char,
    kind: u8,
    /// Decomposes further, if it can.
    to: Vec<char>,
}

/// How many there are, the step from each code point to the next, kinds and lengths;
/// the greatest length, then first characters, second ones and so on, each as a step
/// from the one before.
///
/// Fails if the libraries do not compose what they decompose.
pub fn decompositions() -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for c in '\u{80}'..=char::MAX {
        all.extend(decomposition(c)?);
    }
    let mut table = Numbers::default();
    table.push(all.len() as u32);
    let mut last = 0;
    for Decomposition { of, .. } in &all {
        table.push(u32::from(*of) - last);
        last = u32::from(*of);
    }
    for Decomposition { kind, to, .. } in &all {
        table.push((to.len() as u32) << KIND_BITS | u32::from(*kind));
    }
    let longest = all
        .iter()
        .map(|each| each.to.len())
        .max()
        .unwrap_or_default();
    table.push(longest as u32);
    for place in 0..longest {
        let mut last = 0;
        for c in all.iter().filter_map(|each| each.to.get(place)) {
            table.push_step(last, u32::from(*c));
            last = u32::from(*c);
        }
    }
    Ok(table.0)
}

fn decomposition(c: char) -> io::Result<Option<Decomposition>> {
    let of = |kind, to| Ok(Some(Decomposition { of: c, kind, to }));
    if !is_public_assigned(c) || matches!(c, '\u{ac00}'..='\u{d7a3}') || c.nfkd().eq([c]) {
        return Ok(None);
    }
    let narrow = UsernameCaseMapped::new().width_mapping_rule(c.to_string());
    let narrow = narrow.unwrap_or_default().into_owned();
    if !narrow.chars().eq([c]) {
        return of(COMPATIBLE | WIDTH, narrow.chars().collect());
    }
    let canonical: Vec<char> = c.nfd().collect();
    if canonical == [c] {
        return of(COMPATIBLE, c.nfkc().collect());
    }
    if !c.nfc().eq([c]) {
        return of(0, c.nfc().collect());
    }
    let Some((last, rest)) = canonical.split_last() else {
        return Err(io::Error::other(format!("{c:?} decomposes to nothing")));
    };
    let mut pair: Vec<char> = rest.iter().copied().nfc().collect();
    pair.push(*last);
    match pair[..] {
        [first, second] if compose(first, second) == Some(c) => of(COMPOSES, pair),
        _ => Err(io::Error::other(format!("{c:?} is not made of {pair:?}"))),
    }
}
