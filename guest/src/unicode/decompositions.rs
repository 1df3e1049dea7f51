//! What code points decompose to, and which pairs compose.

use std::sync::LazyLock;

use super::format::{COMPATIBLE, COMPOSES, KIND_BITS, WIDTH};
use super::hangul;
use super::numbers::Numbers;
use crate::packed::packed;

/// UAX #15: whether the two ways to write the same are one, or also what only looks
/// different (a ligature and its letters).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Canonical equivalence (NFC).
    Canonical,
    /// Compatibility (NFKC).
    Compatible,
}

#[derive(Default)]
struct Decomposition {
    of: char,
    kind: u8,
    length: usize,
    /// Where in `Tables::characters`.
    from: usize,
}

#[derive(Default)]
struct Tables {
    /// In the order of code points.
    decompositions: Vec<Decomposition>,
    characters: Vec<char>,
    /// The pairs that compose, in order, and to what.
    compositions: Vec<([char; 2], char)>,
}

/// Gives the full decomposition of a character, piece by piece.
pub fn decompose(c: char, form: Form, emit: &mut dyn FnMut(char)) {
    if c.is_ascii() {
        return emit(c);
    }
    if let Some(jamo) = hangul::decompose(c) {
        return jamo.for_each(emit);
    }
    match TABLES.get(c) {
        Some((kind, to)) if form == Form::Compatible || kind & COMPATIBLE == 0 => {
            for c in to {
                decompose(*c, form, emit);
            }
        }
        _ => emit(c),
    }
}

/// What two characters compose to.
pub fn compose(first: char, second: char) -> Option<char> {
    // Nothing composes with a second character in ASCII.
    if second.is_ascii() {
        return None;
    }
    if let Some(syllable) = hangul::compose(first, second) {
        return Some(syllable);
    }
    let compositions = &TABLES.compositions;
    let found = compositions.binary_search_by_key(&[first, second], |(pair, _)| *pair);
    compositions.get(found.ok()?).map(|(_, composed)| *composed)
}

/// The width mapping of RFC 8265 section 3.3.
pub fn width_mapped(c: char) -> char {
    match TABLES.get(c) {
        Some((kind, [narrow])) if kind & WIDTH != 0 => *narrow,
        _ => c,
    }
}

static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables::read(Numbers::new(packed!("unicode-decompositions").bytes())));

impl Tables {
    fn get(&self, c: char) -> Option<(u8, &[char])> {
        let index = self.decompositions.binary_search_by_key(&c, |it| it.of);
        let found = self.decompositions.get(index.ok()?)?;
        let to = self.characters.get(found.from..)?.get(..found.length)?;
        Some((found.kind, to))
    }

    fn read(mut numbers: Numbers) -> Tables {
        let mut tables = Tables::default();
        let mut of = 0;
        for _ in 0..numbers.next_count() {
            of += numbers.next();
            tables.decompositions.push(Decomposition {
                of: char::from_u32(of).unwrap_or_default(),
                ..Decomposition::default()
            });
        }
        let (mut longest, mut count) = (0, 0);
        for decomposition in &mut tables.decompositions {
            let number = numbers.next();
            decomposition.kind = (number & ((1 << KIND_BITS) - 1)) as u8;
            decomposition.length = (number >> KIND_BITS) as usize;
            decomposition.from = count;
            longest = longest.max(decomposition.length);
            count += decomposition.length;
        }
        tables.characters = vec!['\0'; count];
        for place in 0..longest {
            numbers.begin_steps();
            for each in tables.decompositions.iter().filter(|it| it.length > place) {
                if let Some(c) = tables.characters.get_mut(each.from + place) {
                    *c = numbers.step();
                }
            }
        }
        tables.compositions = tables.compositions();
        tables
    }

    fn compositions(&self) -> Vec<([char; 2], char)> {
        let composites = self
            .decompositions
            .iter()
            .filter(|it| it.kind & COMPOSES != 0);
        let pairs = composites.filter_map(|it| {
            let (first, second) = (
                self.characters.get(it.from)?,
                self.characters.get(it.from + 1)?,
            );
            Some(([*first, *second], it.of))
        });
        let mut compositions: Vec<_> = pairs.collect();
        compositions.sort_unstable();
        compositions
    }
}
