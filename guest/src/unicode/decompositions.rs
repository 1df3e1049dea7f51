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

struct Tables {
    /// In the order of code points.
    decompositions: Vec<Decomposition>,
    characters: Vec<char>,
    /// The pairs that compose, in order, and to what.
    compositions: Vec<(Pair, char)>,
}

/// Two characters as one number: in their order, and compared at once.
type Pair = u64;

fn pair(first: char, second: char) -> Pair {
    u64::from(first) << 32 | u64::from(second)
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
    let found = compositions.binary_search_by_key(&pair(first, second), |(pair, _)| *pair);
    compositions.get(found.ok()?).map(|(_, composed)| *composed)
}

/// What a full-width or half-width form maps to (RFC 8265 section 3.3); any other
/// character as it is.
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

    /// As `decompositions` of the build script writes them.
    fn read(mut numbers: Numbers) -> Tables {
        let decompositions = Decomposition::read_all(&mut numbers);
        let length = |it: &Decomposition| it.from + it.length;
        let mut characters = vec!['\0'; decompositions.last().map_or(0, length)];
        for place in 0..numbers.next() as usize {
            numbers.begin_steps();
            for it in decompositions.iter().filter(|it| it.length > place) {
                if let Some(c) = characters.get_mut(it.from + place) {
                    *c = numbers.step();
                }
            }
        }
        let mut tables = Tables {
            decompositions,
            characters,
            compositions: Vec::new(),
        };
        tables.compositions = tables.compositions();
        tables
    }

    /// Sorts by inserting: there are less than a thousand, mostly in order, and the code
    /// of a better algorithm is as large as half of the table.
    fn compositions(&self) -> Vec<(Pair, char)> {
        let mut compositions = Vec::with_capacity(self.decompositions.len());
        for it in &self.decompositions {
            let to = self.characters.get(it.from..).unwrap_or_default();
            if it.kind & COMPOSES != 0
                && let Some([first, second]) = to.first_chunk()
            {
                let pair = pair(*first, *second);
                let place = compositions.partition_point(|(other, _)| *other < pair);
                compositions.insert(place, (pair, it.of));
            }
        }
        compositions
    }
}

impl Decomposition {
    fn read_all(numbers: &mut Numbers) -> Vec<Decomposition> {
        let mut code = 0;
        let mut all: Vec<_> = (0..numbers.next_count())
            .map(|_| {
                code += numbers.next();
                Decomposition {
                    of: char::from_u32(code).unwrap_or_default(),
                    ..Decomposition::default()
                }
            })
            .collect();
        let mut from = 0;
        for it in &mut all {
            let number = numbers.next();
            it.kind = number as u8 & ((1 << KIND_BITS) - 1);
            it.length = (number >> KIND_BITS) as usize;
            it.from = from;
            from += it.length;
        }
        all
    }
}
