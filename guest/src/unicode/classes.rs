//! The use that each character is allowed for: the classes of RFC 8264.

use icu_properties::props::{
    DefaultIgnorableCodePoint, GeneralCategory, GraphemeExtend, HangulSyllableType,
};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::nfkc;

/// Whether a character is allowed in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is allowed anywhere.
    Allowed,
    /// It is allowed only where its rule in RFC 5892 appendix A permits it.
    ByContext,
    /// It is not allowed.
    Refused,
}

/// Derives the IdentifierClass by the algorithm of RFC 8264 section 8. Characters that are
/// UNASSIGNED, DISALLOWED or ID_DIS there are refused.
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

/// Returns the exceptions of RFC 5892 section 2.6, which RFC 8264 section 9.6 refers to.
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

/// Reports whether a character is allowed in a password after those before it.
///
/// The FreeformClass of RFC 8264 excludes characters that people have on their keyboards
/// and use: the variation selector and the joiner in emoji, Arabic's tatweel, the middle
/// dot outside Catalan. A password is compared and never shown, so all assigned characters
/// are allowed here except control characters and line breaks; of the invisible
/// characters, only those that change the preceding character are allowed.
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

/// Reports whether the character is a space other than that of ASCII (RFC 8265 section
/// 4.2: Zs).
pub fn is_blank(c: char) -> bool {
    category(c) == GeneralCategory::SpaceSeparator
}

/// Reports whether the character still has a lower-case form.
pub fn is_upper_case(c: char) -> bool {
    use GeneralCategory as Category;
    matches!(
        category(c),
        Category::UppercaseLetter | Category::TitlecaseLetter
    )
}

/// Reports whether the character is an OldHangulJamo.
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

/// Reports whether the character has PrecisIgnorableProperties. Noncharacters are not
/// assigned, and refused as such.
fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn is_extending(c: char) -> bool {
    c == '\u{200d}' || CodePointSetData::new::<GraphemeExtend>().contains(c)
}

/// Reports whether the character has HasCompat.
fn has_compatibility_form(c: char) -> bool {
    !nfkc(c.encode_utf8(&mut [0; 4])).chars().eq([c])
}
