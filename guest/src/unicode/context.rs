//! The characters that are allowed only in certain contexts: RFC 5892 appendix A.

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{JoiningType, Script};

/// The Canonical_Combining_Class of a virama.
const VIRAMA: u8 = 9;

/// Reports whether `c` is allowed between `before` and `after`, given that all of `before`
/// is allowed.
pub fn allows(before: &[char], c: char, after: &[char]) -> bool {
    let previous = before.last().copied();
    let has = |allowed: &dyn Fn(char) -> bool| before.iter().chain(after).any(|c| allowed(*c));
    match c {
        '\u{200c}' => previous.is_some_and(is_virama) || joins(before, after),
        '\u{200d}' => previous.is_some_and(is_virama),
        '\u{b7}' => previous == Some('l') && after.first() == Some(&'l'),
        '\u{375}' => after.first().is_some_and(|c| script(*c) == Script::Greek),
        '\u{5f3}' | '\u{5f4}' => previous.is_some_and(|c| script(c) == Script::Hebrew),
        // One of several: the first was allowed because of the whole text, so the others
        // are too.
        '\u{30fb}' => before.contains(&c) || has(&is_kana_or_han),
        '\u{660}'..='\u{669}' => !has(&|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !has(&|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

/// Reports whether two letters would join across transparent characters.
fn joins(before: &[char], after: &[char]) -> bool {
    use JoiningType as Joins;
    let opaque = |c: &&char| joining(**c) != Joins::Transparent;
    let (previous, next) = (before.iter().rev().find(opaque), after.iter().find(opaque));
    previous.is_some_and(|c| matches!(joining(*c), Joins::LeftJoining | Joins::DualJoining))
        && next.is_some_and(|c| matches!(joining(*c), Joins::RightJoining | Joins::DualJoining))
}

fn joining(c: char) -> JoiningType {
    CodePointMapData::<JoiningType>::new().get(c)
}

fn is_virama(c: char) -> bool {
    CanonicalCombiningClassMapBorrowed::new().get_u8(c) == VIRAMA
}

fn is_kana_or_han(c: char) -> bool {
    matches!(script(c), Script::Hiragana | Script::Katakana | Script::Han)
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}
