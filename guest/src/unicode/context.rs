//! Where characters may stand that need a context: RFC 5892 appendix A.

use super::format::{GREEK, HEBREW, JOINS_NEXT, JOINS_PREVIOUS, KANA_OR_HAN, TRANSPARENT, VIRAMA};
use super::properties::is;

/// Whether this one may stand between what is before and what is after it, if all that
/// is before may stand there.
pub fn allows(before: &[char], c: char, after: &[char]) -> bool {
    let previous = |flags| before.last().is_some_and(|c| is(*c, flags));
    let has = |allowed: &dyn Fn(char) -> bool| before.iter().chain(after).any(|c| allowed(*c));
    match c {
        '\u{200c}' => previous(VIRAMA) || joins(before, after),
        '\u{200d}' => previous(VIRAMA),
        '\u{b7}' => before.last() == Some(&'l') && after.first() == Some(&'l'),
        '\u{375}' => after.first().is_some_and(|c| is(*c, GREEK)),
        '\u{5f3}' | '\u{5f4}' => previous(HEBREW),
        // One of many was let in for the sake of the whole text.
        '\u{30fb}' => before.contains(&c) || has(&|c| is(c, KANA_OR_HAN)),
        '\u{660}'..='\u{669}' => !has(&|c| matches!(c, '\u{6f0}'..='\u{6f9}')),
        '\u{6f0}'..='\u{6f9}' => !has(&|c| matches!(c, '\u{660}'..='\u{669}')),
        _ => false,
    }
}

/// Whether two letters would join across what is transparent.
fn joins(before: &[char], after: &[char]) -> bool {
    let opaque = |c: &&char| !is(**c, TRANSPARENT);
    let (previous, next) = (before.iter().rev().find(opaque), after.iter().find(opaque));
    previous.is_some_and(|c| is(*c, JOINS_NEXT)) && next.is_some_and(|c| is(*c, JOINS_PREVIOUS))
}
