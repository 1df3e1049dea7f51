//! The Bidi Rule: RFC 5893 section 2.

use super::format::{ARABIC_NUMBER, EUROPEAN_NUMBER, NEUTRAL, NONSPACING, RIGHT_TO_LEFT};
use super::properties::is;

/// Whether a text is all from left to right, or satisfies the rule for one from right
/// to left. One that mixes them satisfies neither.
pub fn is_satisfied(text: &[char]) -> bool {
    let any = |flags| text.iter().any(|c| is(*c, flags));
    if !any(RIGHT_TO_LEFT | ARABIC_NUMBER) {
        return true;
    }
    // Marks at the end only: stricter than the rule, which has them anywhere after the
    // first character, and the reading of the library that the tables come from.
    let end = text.iter().rposition(|c| !is(*c, NONSPACING));
    let body = end.and_then(|end| text.get(..=end)).unwrap_or_default();
    let (Some(first), Some(last)) = (body.first(), body.last()) else {
        return false;
    };
    let may_end = RIGHT_TO_LEFT | ARABIC_NUMBER | EUROPEAN_NUMBER;
    is(*first, RIGHT_TO_LEFT)
        && body.iter().all(|c| is(*c, may_end | NEUTRAL))
        && is(*last, may_end)
        && !(any(ARABIC_NUMBER) && any(EUROPEAN_NUMBER))
}
