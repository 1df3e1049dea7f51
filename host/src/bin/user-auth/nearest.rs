//! Finds the name that a misspelt one probably stands for.

/// Returns the name that differs in so few letters that it was probably meant.
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

/// Returns the question whether that name was meant, for use between an error and a
/// hint, or the end of the clause if no name is near.
pub(super) fn suggestion<'a>(names: impl IntoIterator<Item = &'a str>, given: &str) -> String {
    match nearest(names, given) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => ";".to_owned(),
    }
}
