//! The language of a page.

use super::texts::{ENGLISH, GERMAN, Texts};

/// Returns the words in the first of these languages that there is, or in English.
/// `ui_locales` is what a client has asked for (tags between blanks), `accepted` the header
/// `Accept-Language` of the browser (RFC 9110 section 12.5.4).
pub fn choose(ui_locales: Option<&str>, accepted: Option<&str>) -> &'static Texts {
    let mut asked = ui_locales.unwrap_or_default().split(' ');
    asked
        .find_map(of_tag)
        .or_else(|| most_wanted(accepted.unwrap_or_default()))
        .unwrap_or(&ENGLISH)
}

fn of_tag(tag: &str) -> Option<&'static Texts> {
    let language = tag.split('-').next()?;
    let all = [&ENGLISH, &GERMAN];
    all.into_iter()
        .find(|texts| language.eq_ignore_ascii_case(texts.lang))
}

/// Returns the words in the language of the header with the highest weight, of which the
/// first one counts.
fn most_wanted(header: &str) -> Option<&'static Texts> {
    let known = header.split(',').filter_map(|range| {
        let (tag, weight) = weighted(range)?;
        Some((of_tag(tag)?, weight))
    });
    let best = known.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(texts, _)| texts)
}

fn weighted(range: &str) -> Option<(&str, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.map_or(Some(1000), thousandths)?;
    (weight > 0).then_some((tag, weight))
}

/// Returns a weight from 0 to 1 with at most three decimals (RFC 9110 section 12.4.2) in
/// thousandths. To read any number takes tables of more than 10 KB.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let is_short = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let decimals: u16 = format!("{decimals:0<3}")
        .parse()
        .ok()
        .filter(|_| is_short)?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_and_then_the_browser_choose_the_language() {
        for (ui_locales, accepted, expected) in [
            (None, None, "en"),
            (None, Some("de-AT,de;q=0.9,en;q=0.8"), "de"),
            (None, Some("en;q=0.5, de;q=0.9"), "de"),
            (None, Some("fr, DE"), "de"),
            (None, Some("de;q=0, *"), "en"),
            (None, Some("de;q=0.000, *"), "en"),
            (None, Some("en;q=0.999, de;q=1.000"), "de"),
            (None, Some("en;q=0.09, de;q=0.1"), "de"),
            (None, Some("en;q=0., de;q=0.001"), "de"),
            (None, Some("de;q=1.1"), "en"),
            (None, Some("de;q=0.0001"), "en"),
            (None, Some("de;q=+1"), "en"),
            (Some("fr de"), Some("en"), "de"),
            (Some("xx"), Some("de"), "de"),
            (None, Some("q=;,;;de"), "en"),
        ] {
            assert_eq!(choose(ui_locales, accepted).lang, expected, "{accepted:?}");
        }
    }
}
