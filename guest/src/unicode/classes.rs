//! What each character may be used for: the classes of RFC 8264.

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GraphemeExtend, HangulSyllableType,
};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::nfkc;

/// Whether a character may stand in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Anywhere.
    Allowed,
    /// Where its rule in RFC 5892 appendix A lets it, and only there.
    ByContext,
    /// Nowhere.
    Refused,
}

/// The IdentifierClass, by the algorithm of RFC 8264 section 8. What it calls UNASSIGNED,
/// DISALLOWED and ID_DIS is refused.
pub fn in_names(c: char) -> Standing {
    use GeneralCategory as Category;
    if let Some(standing) = exception(c) {
        return standing;
    }
    match c {
        // ASCII7.
        '!'..='~' => return Standing::Allowed,
        // JoinControl.
        '\u{200c}' | '\u{200d}' => return Standing::ByContext,
        _ => {}
    }
    if is_conjoining_jamo(c) || is_ignorable(c) || has_compatibility_form(c) {
        return Standing::Refused;
    }
    match category(c) {
        // LetterDigits.
        Category::LowercaseLetter
        | Category::UppercaseLetter
        | Category::OtherLetter
        | Category::DecimalNumber
        | Category::ModifierLetter
        | Category::NonspacingMark
        | Category::SpacingMark => Standing::Allowed,
        _ => Standing::Refused,
    }
}

/// Exceptions: RFC 5892 section 2.6, which RFC 8264 section 9.6 refers to.
fn exception(c: char) -> Option<Standing> {
    match c {
        '\u{df}' | '\u{3c2}' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => {
            Some(Standing::Allowed)
        }
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' => Some(Standing::ByContext),
        '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Some(Standing::ByContext),
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            Some(Standing::Refused)
        }
        _ => None,
    }
}

/// Whether a character may stand in a password after those before it.
///
/// The FreeformClass of RFC 8264 leaves out what people have on their keyboards and
/// write: the variation selector and the joiner in emoji, Arabic's tatweel, the middle
/// dot outside Catalan. A password is compared and never shown, so here is all that is
/// assigned but control characters and line breaks; of what is invisible, only what
/// changes the character before it.
pub fn in_passwords(c: char, before: &str) -> bool {
    use GeneralCategory as Category;
    match category(c) {
        Category::Control
        | Category::LineSeparator
        | Category::ParagraphSeparator
        | Category::Unassigned => false,
        _ if is_ignorable(c) => is_extending(c) && !before.is_empty(),
        _ => true,
    }
}

/// Whether it is a blank other than that of ASCII (RFC 8265 section 4.2: Zs).
pub fn is_blank(c: char) -> bool {
    category(c) == GeneralCategory::SpaceSeparator
}

/// Whether it still has a lower case.
pub fn is_upper_case(c: char) -> bool {
    use GeneralCategory as Category;
    matches!(
        category(c),
        Category::UppercaseLetter | Category::TitlecaseLetter
    )
}

/// OldHangulJamo.
pub fn is_conjoining_jamo(c: char) -> bool {
    use HangulSyllableType as Kind;
    let kind = CodePointMapData::<Kind>::new().get(c);
    matches!(
        kind,
        Kind::LeadingJamo | Kind::VowelJamo | Kind::TrailingJamo
    )
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// PrecisIgnorableProperties. Noncharacters are not assigned, and refused as such.
fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn is_extending(c: char) -> bool {
    c == '\u{200d}' || CodePointSetData::new::<GraphemeExtend>().contains(c)
}

/// HasCompat.
fn has_compatibility_form(c: char) -> bool {
    !nfkc(c.encode_utf8(&mut [0; 4])).chars().eq([c])
}
