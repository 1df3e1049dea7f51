//! What somebody must have meant.

/// The name that differs in so few letters that it must have been meant.
pub(super) fn nearest<'a>(
    names: impl IntoIterator<Item = &'a str>,
    given: &str,
) -> Option<&'a str> {
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, given), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 3 + 1)
        .map(|(_, known)| known)
}
