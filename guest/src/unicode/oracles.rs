//! Compares the rules with other sources of the same tables, with an implementation of the
//! same RFCs over the tables of Unicode 6.3, and with the examples of the RFCs.

use std::collections::BTreeSet;

use precis_core::profile::{PrecisFastInvocation, Rules};
use precis_core::{DerivedPropertyValue, IdentifierClass, StringClass};
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use proptest::prelude::*;
use unicode_bidi::BidiClass;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::classes::{Standing, in_names, in_passwords};
use super::{Unfit, VERSION, bidi, nfc, nfkc, opaque_string, username_case_mapped};

fn name(text: &str) -> Option<String> {
    username_case_mapped(text).ok()
}

fn password(text: &str) -> Option<String> {
    opaque_string(text).ok().map(|text| text.to_string())
}

fn all() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

#[test]
fn the_unicode_tables_have_the_same_version() {
    let version = |(major, minor, _): (u64, u64, u64)| format!("{major}.{minor}");
    assert_eq!(version(unicode_properties::UNICODE_VERSION), VERSION);
    let (major, minor, _) = unicode_normalization::UNICODE_VERSION;
    assert_eq!(version((major.into(), minor.into(), 0)), VERSION);
}

/// RFC 8265 sections 3.5 and 4.3.
#[test]
fn examples_of_the_precis_profiles_are_handled_as_specified() {
    for (text, expected) in [
        ("juliet@example.com", Some("juliet@example.com")),
        ("fussball", Some("fussball")),
        ("fu\u{df}ball", Some("fu\u{df}ball")),
        ("\u{3c0}", Some("\u{3c0}")),
        ("\u{3a3}", Some("\u{3c3}")),
        ("\u{3c3}", Some("\u{3c3}")),
        ("\u{3c2}", Some("\u{3c2}")),
        ("foo bar", None),
        ("", None),
        ("henry\u{2163}", None),
        ("\u{221e}", None),
        ("\u{265a}", None),
    ] {
        assert_eq!(name(text).as_deref(), expected, "{text:?}");
    }
    for (text, expected) in [
        (
            "correct horse battery staple",
            Some("correct horse battery staple"),
        ),
        (
            "Correct Horse Battery Staple",
            Some("Correct Horse Battery Staple"),
        ),
        ("\u{3c0}\u{df}\u{e5}", Some("\u{3c0}\u{df}\u{e5}")),
        ("Jack of \u{2666}s", Some("Jack of \u{2666}s")),
        ("foo\u{1680}bar", Some("foo bar")),
        ("", None),
        ("my cat is a \t by", None),
    ] {
        assert_eq!(password(text).as_deref(), expected, "{text:?}");
    }
}

/// RFC 5892 appendix A and RFC 5893 section 2, with texts as people write them.
#[test]
fn names_in_common_scripts_are_accepted() {
    for text in [
        "\u{9fcd}",
        "\u{2b820}\u{2ceb0}",
        "\u{1100}\u{1169}\u{11ab}",
        "김철수",
        // The Bengali letter য় as one character and as two.
        "\u{995}\u{9df}",
        "สมชาย",
        "សុខា",
        "\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}",
        "\u{915}\u{94d}\u{200d}\u{937}",
        "\u{915}\u{94d}\u{200c}\u{937}",
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
        "\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{651}\u{64e}\u{62f}",
        "\u{5de}\u{5b9}\u{5e9}\u{5c1}\u{5b6}\u{5d4}",
        "\u{5d3}\u{5d5}\u{5d3}1990",
        "\u{5e6}\u{5f4}\u{5dc}",
        "\u{f56}\u{f7c}\u{f51}\u{f0b}\u{f61}\u{f72}\u{f42}",
        "\u{ff76}\u{ff9e}\u{ff70}",
        "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "l\u{b7}l",
        "\u{30a2}\u{30fb}\u{30a4}",
        "\u{13a0}\u{13b3}",
        "\u{1e900}\u{1e921}\u{1e944}",
    ] {
        let canonical = name(text);
        assert!(
            canonical.is_some(),
            "{text}: {:?}",
            username_case_mapped(text)
        );
        let composed: String = text.nfc().collect();
        let decomposed: String = text.nfd().collect();
        assert_eq!(name(&composed), canonical, "{text}");
        assert_eq!(name(&decomposed), canonical, "{text}");
    }
    for text in [
        // The Kelvin sign and other characters that would become ASCII.
        "\u{212a}elvin",
        "a\u{37e}b",
        "a\u{b7}l",
        "a\u{200c}b",
        "a\u{200d}b",
        "\u{660}\u{6f0}",
        "user\u{5d3}",
        "1\u{5d3}",
        "\u{5d3}\u{660}1",
        "\u{627}\u{640}\u{628}",
        "\u{1f600}",
        "a\u{fe0f}",
        "\u{845b}\u{e0100}",
        "\u{1f1e9}\u{1f1ea}",
        "\u{e000}",
        "\u{fdd0}",
        "\u{115f}",
        "\u{1100}",
        "\u{ffa1}\u{ffc2}",
        "\u{fb01}",
    ] {
        assert_eq!(name(text), None, "{text:?}");
    }
}

#[test]
fn passwords_of_keyboard_characters_are_accepted() {
    for text in [
        "\u{1f642}\u{1f914}\u{1f44d}\u{1f3fd}",
        "\u{2764}\u{fe0f}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{1f9d1}\u{1f3ff}\u{200d}\u{1f9b3}",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "\u{1f1e9}\u{1f1ea}",
        "1\u{fe0f}\u{20e3}",
        "\u{1fae9}\u{1fac6}",
        "\u{20bf}\u{20bd}",
        "\u{845b}\u{e0100}",
        "a\u{b7}b",
        "\u{627}\u{640}\u{628}",
        "\u{5de}\u{5b9}\u{5e9}\u{5c1}\u{5b6}\u{5d4} 613",
        "\u{660}\u{6f0}",
        "\u{62f}\u{627}\u{646}\u{634}\u{62c}\u{648}\u{200c}\u{647}\u{627}",
        "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
        "\u{1105}\u{119e}",
        "\u{2163}\u{ff21}\u{fb01}",
        "\u{f8ff}",
    ] {
        let canonical = password(text);
        assert!(canonical.is_some(), "{text}: {:?}", opaque_string(text));
        let decomposed: String = text.nfd().collect();
        assert_eq!(password(&decomposed), canonical, "{text}");
        assert_eq!(canonical.as_deref().map(password), Some(canonical.clone()));
    }
    for blank in ['\u{a0}', '\u{2003}', '\u{202f}', '\u{3000}'] {
        assert_eq!(password(&format!("a{blank}b")).as_deref(), Some("a b"));
    }
    for c in [
        '\u{7}',
        '\t',
        '\n',
        '\u{85}',
        '\u{ad}',
        '\u{200b}',
        '\u{202e}',
        '\u{2028}',
        '\u{2029}',
        '\u{2060}',
        '\u{2066}',
        '\u{3164}',
        '\u{feff}',
        '\u{fffe}',
        '\u{10ffff}',
        '\u{e0001}',
        '\u{378}',
    ] {
        let expected = Unfit::Character {
            character: c,
            position: 3,
        };
        assert_eq!(opaque_string(&format!("é {c}")).err(), Some(expected));
    }
}

/// Returns Default_Ignorable_Code_Point, as listed in DerivedCoreProperties.txt.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Derives the class of RFC 8264 section 8 from the tables of `unicode-properties`,
/// `unicode-normalization` and this file.
fn identifier_class(c: char) -> Standing {
    use GeneralCategory as Category;
    let category = c.general_category();
    let exceptions = [
        (
            "\u{df}\u{3c2}\u{6fd}\u{6fe}\u{f0b}\u{3007}",
            Standing::Allowed,
        ),
        (
            "\u{b7}\u{375}\u{5f3}\u{5f4}\u{30fb}\u{660}\u{661}\u{662}\u{663}\u{664}\u{665}\
             \u{666}\u{667}\u{668}\u{669}\u{6f0}\u{6f1}\u{6f2}\u{6f3}\u{6f4}\u{6f5}\u{6f6}\
             \u{6f7}\u{6f8}\u{6f9}",
            Standing::ByContext,
        ),
        (
            "\u{640}\u{7fa}\u{302e}\u{302f}\u{3031}\u{3032}\u{3033}\u{3034}\u{3035}\u{303b}",
            Standing::Refused,
        ),
    ];
    let exception = exceptions.iter().find(|(them, _)| them.contains(c));
    if let Some((_, standing)) = exception {
        *standing
    } else if category == Category::Unassigned {
        Standing::Refused
    } else if c.is_ascii_graphic() {
        Standing::Allowed
    } else if matches!(c, '\u{200c}' | '\u{200d}') {
        Standing::ByContext
    } else if matches!(c,
        '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7fb}')
        || is_ignorable(c)
        || !c.nfkc().eq([c])
    {
        Standing::Refused
    } else {
        match category {
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
}

#[test]
fn every_code_point_has_the_class_that_other_tables_derive() {
    for c in all() {
        assert_eq!(in_names(c), identifier_class(c), "{c:?}");
        let category = c.general_category();
        let is_text = !matches!(
            category,
            GeneralCategory::Control
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::Unassigned
        );
        let extends = category == GeneralCategory::NonspacingMark
            || matches!(c, '\u{200c}' | '\u{200d}' | '\u{e0020}'..='\u{e007f}');
        assert_eq!(
            in_passwords(c, "x"),
            is_text && (!is_ignorable(c) || extends),
            "{c:?}"
        );
        assert_eq!(in_passwords(c, ""), is_text && !is_ignorable(c), "{c:?}");
    }
}

#[test]
fn every_code_point_has_the_normal_forms_of_other_tables() {
    for c in all() {
        for text in [
            c.to_string(),
            format!("a{c}\u{301}\u{323}"),
            format!("e\u{301}{c}"),
            format!("\u{1112}\u{1161}{c}"),
            c.nfd().collect(),
            c.nfkd().collect(),
        ] {
            let canonical = nfc(text.len(), &mut text.chars());
            assert!(canonical.chars().eq(text.nfc()), "{text:?}");
            assert!(nfkc(&text).chars().eq(text.nfkc()), "{text:?}");
        }
        let is_virama = super::context::allows(&[c], '\u{200d}', &[]);
        assert_eq!(is_virama, canonical_combining_class(c) == 9, "{c:?}");
    }
}

/// A canonical name is its own canonical form: no upper case remains that a later version
/// of the compiler's tables would change.
#[test]
fn every_code_point_has_a_stable_canonical_form() {
    for c in all() {
        for text in [format!("{c}a"), format!("\u{5d0}{c}"), format!("{c}")] {
            if let Some(canonical) = name(&text) {
                assert_eq!(name(&canonical), Some(canonical), "{text:?}");
            }
        }
    }
}

/// Applies RFC 5893 section 2 with the tables of `unicode-bidi`.
fn bidi_rule(text: &str) -> bool {
    use BidiClass::{AL, AN, B, BN, CS, EN, ES, ET, L, NSM, ON, R};
    let classes: Vec<BidiClass> = text.chars().map(unicode_bidi::bidi_class).collect();
    assert!(!classes.contains(&B), "{text:?}");
    if classes.iter().all(|class| ![R, AL, AN].contains(class)) {
        return true;
    }
    let end = classes.iter().rposition(|class| *class != NSM);
    let numbers: BTreeSet<bool> = classes
        .iter()
        .filter(|class| [EN, AN].contains(class))
        .map(|class| *class == EN)
        .collect();
    [R, AL].contains(&classes[0])
        && classes.iter().all(|class| *class != L)
        && classes
            .iter()
            .all(|class| [R, AL, AN, EN, ES, CS, ET, ON, BN, NSM].contains(class))
        && end.is_some_and(|end| [R, AL, EN, AN].contains(&classes[end]))
        && numbers.len() < 2
}

/// The tables of `unicode-bidi` are of Unicode 16: 254 characters have another direction since
/// then, nearly all of them because they were not assigned before.
#[test]
fn every_code_point_has_the_direction_of_other_tables() {
    let mut newer = Vec::new();
    for c in all() {
        let is_assigned = c.general_category() != GeneralCategory::Unassigned;
        if !is_assigned || unicode_bidi::bidi_class(c) == BidiClass::B {
            continue;
        }
        let texts = [
            format!("{c}"),
            format!("{c}\u{5d0}"),
            format!("\u{5d0}{c}"),
            format!("\u{5d0}{c}\u{5d0}"),
            format!("\u{5d0}1{c}"),
            format!("\u{627}{c}\u{660}"),
        ];
        let agrees = |text: &String| bidi::is_satisfied(text) == bidi_rule(text);
        if !texts.iter().all(agrees) {
            newer.push(c);
        }
    }
    assert_eq!(newer.len(), 254, "{newer:?}");
}

/// Reports whether both tables have the same direction for a character. Unicode 17 has changed
/// that of U+1B3C.
fn has_old_direction(c: char) -> bool {
    let text = format!("\u{5d0}{c}\u{5d0}");
    bidi::is_satisfied(&text) == bidi_rule(&text)
}

/// Returns the class according to a library with the tables of Unicode 6.3.
fn old_standing(c: char) -> Option<Standing> {
    use DerivedPropertyValue::{ContextJ, ContextO, PValid, SpecClassPval, Unassigned};
    match IdentifierClass::default().get_value_from_char(c) {
        Unassigned => None,
        PValid | SpecClassPval => Some(Standing::Allowed),
        ContextJ | ContextO => Some(Standing::ByContext),
        _ => Some(Standing::Refused),
    }
}

/// Reports whether both have the same tables for all of a text, as far as names need them.
fn is_unchanged(text: &str) -> bool {
    text.chars().all(|c| {
        let lower = c.to_lowercase();
        old_standing(c) == Some(in_names(c)) && lower.clone().all(|c| old_standing(c).is_some())
    })
}

/// Reports whether both agree on a text, or disagree only because of the tables or because
/// of deliberate deviations.
fn agrees_with_old(text: &str) -> bool {
    if let Ok(old) = OpaqueString::enforce(text)
        && password(text).as_deref() != Some(&*old)
    {
        return false;
    }
    // Here the class is checked after NFC.
    let narrow = UsernameCaseMapped::new().width_mapping_rule(text);
    let Ok(narrow) = narrow else {
        return name(text).is_none();
    };
    let normal: String = narrow.nfc().collect();
    if !is_unchanged(text) || !is_unchanged(&normal) {
        return true;
    }
    let old = UsernameCaseMapped::enforce(&*normal).ok();
    // The library requires marks at the end of right-to-left text.
    if old.is_none() && has_marks_inside(&normal) {
        return true;
    }
    let expected = old
        .map(|old| old.into_owned())
        .filter(|_| !text.chars().any(becomes_ascii));
    name(text) == expected
}

fn becomes_ascii(c: char) -> bool {
    !c.is_ascii() && c.nfc().any(|c| c.is_ascii())
}

fn has_marks_inside(text: &str) -> bool {
    let is_mark = |c| unicode_bidi::bidi_class(c) == BidiClass::NSM;
    text.trim_end_matches(is_mark).contains(is_mark)
}

#[test]
fn an_earlier_version_of_unicode_agrees_on_unchanged_characters() {
    let (mut unassigned, mut changed, mut differing) = (0, 0, String::new());
    for c in all() {
        match old_standing(c) {
            None => unassigned += 1,
            Some(old) if old != in_names(c) => changed += 1,
            Some(_) => {
                let texts = [
                    format!("{c}"),
                    format!("a{c}"),
                    format!("{c}a"),
                    format!("e\u{301}{c}"),
                    format!("\u{628}{c}\u{200c}\u{628}"),
                    format!("\u{628}\u{200c}{c}\u{628}"),
                    format!("{c}\u{64e}\u{200c}\u{64e}\u{628}"),
                    format!("\u{628}\u{64e}\u{200c}\u{64e}{c}"),
                    format!("l\u{b7}{c}"),
                    format!("{c}\u{b7}l"),
                    format!("\u{375}{c}\u{3b1}"),
                    format!("\u{5d0}{c}\u{5f3}"),
                    format!("{c}\u{5f4}"),
                    format!("{c}\u{30fb}"),
                    format!("\u{30fb}\u{30fb}{c}"),
                    format!("\u{627}{c}\u{660}"),
                    format!("\u{627}{c}\u{6f0}"),
                ];
                if !texts.iter().all(|text| agrees_with_old(text)) {
                    differing.push(c);
                }
            }
        }
    }
    // Surrogates are not among the first characters.
    assert_eq!((unassigned, changed), (864_343, 0));
    assert_eq!(differing, REJOINED);
}

/// Mandaic letters, whose Joining_Type has changed since.
const REJOINED: &str = "\u{847}\u{84f}\u{856}\u{857}\u{858}";

/// Generates characters that matter to some rule and are rare among all code points.
fn telling() -> impl Strategy<Value = char> {
    let telling: Vec<char> = [
        // Plain, upper case, sigmas, title case, dotted and dotless i.
        "al1 -ASZΣσςßẞ\u{1c5}\u{1f88}\u{130}\u{131}",
        // Singletons and ligatures.
        "\u{212a}\u{212b}\u{2126}\u{2000}\u{3000}\u{a0}\u{fb01}\u{fb2c}\u{fdfa}\u{337f}\u{1d400}",
        // Marks of several classes, some that decompose or compose with one another.
        "\u{300}\u{301}\u{308}\u{304}\u{323}\u{327}\u{338}\u{340}\u{344}\u{345}\u{35c}\u{302a}",
        "\u{e9}\u{1e69}\u{1e0b}\u{1fb7}\u{2adc}\u{958}\u{915}\u{93c}\u{f71}\u{f72}\u{f73}\u{f81}",
        "\u{1100}\u{1112}\u{1161}\u{1175}\u{11a7}\u{11a8}\u{11c2}\u{ac00}\u{ac01}\u{d7a3}",
        "\u{9c7}\u{9be}\u{9d7}\u{1025}\u{102e}\u{11131}\u{11127}\u{1d15e}\u{1d165}",
        // Characters that contexts and directions depend on.
        "\u{5d0}\u{5d1}\u{5b7}\u{5f3}\u{5f4}\u{fb1d}\u{627}\u{628}\u{62f}\u{64e}\u{653}\u{622}",
        "\u{660}\u{669}\u{6f0}\u{6f9}\u{66b}\u{200c}\u{200d}\u{94d}\u{1039}\u{a872}\u{712}\u{70f}",
        "\u{b7}\u{375}\u{3b1}\u{30fb}\u{30a2}\u{3042}\u{4e00}\u{3007}\u{202e}\u{61c}.,+#!",
        // Full-width and half-width forms.
        "\u{ff21}\u{ff41}\u{ff11}\u{ff0e}\u{ff76}\u{ff9e}\u{ff9f}\u{ffa1}\u{ffc2}\u{ffe3}\u{ff65}\u{ffe8}",
    ]
    .concat()
    .chars()
    .collect();
    let any = any::<char>().prop_filter("has changed", |c| !REJOINED.contains(*c));
    prop_oneof![8 => prop::sample::select(telling), 1 => any]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn random_texts_of_critical_characters_agree_with_other_implementations(text in prop::collection::vec(telling(), 0..8)) {
        let text: String = text.into_iter().collect();
        prop_assert!(agrees_with_old(&text), "{text:?}");
        let canonical = nfc(text.len(), &mut text.chars());
        assert!(canonical.chars().eq(text.nfc()), "NFC of {text:?}");
        assert!(nfkc(&text).chars().eq(text.nfkc()), "NFKC of {text:?}");
        let is_known = |c| {
            old_standing(c).is_some() && unicode_bidi::bidi_class(c) != BidiClass::B && has_old_direction(c)
        };
        if text.chars().all(is_known) {
            assert_eq!(bidi::is_satisfied(&text), bidi_rule(&text), "{text:?}");
        }
        let decomposed: String = text.nfd().collect();
        assert_eq!(password(&decomposed).is_some(), password(&text).is_some(), "{text:?}");
        if let Some(canonical) = password(&text) {
            assert_eq!(password(&canonical), Some(canonical), "{text:?}");
        }
    }

    #[test]
    fn random_names_of_one_script_agree_with_other_implementations(text in one_script()) {
        prop_assert!(agrees_with_old(&text), "{text:?}");
    }
}

/// Generates texts that are often valid names.
fn one_script() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\u{5d0}\u{5d1}\u{5b7}\u{5bc}\u{5f3}\u{5f4}1\\-\u{fb1d}]{1,6}",
        "[\u{627}\u{628}\u{62f}\u{64e}\u{653}\u{654}\u{200c}\u{200d}\u{660}\u{6f0}1.]{1,6}",
        "[\u{915}\u{937}\u{93c}\u{93f}\u{94d}\u{200c}\u{200d}]{1,6}",
        "[l\u{b7}L\u{ff2c}\u{301}]{1,5}",
        "[\u{391}\u{3a3}\u{3b1}\u{3c2}\u{301}\u{345}\u{375}a]{1,5}",
        "[\u{30ab}\u{304b}\u{3099}\u{30fb}\u{4e00}\u{ff76}\u{ff9e}\u{ff65}a]{1,5}",
        "[\u{1100}\u{1161}\u{11a8}\u{ac00}\u{ac01}\u{ffa1}]{1,5}",
        "[aeEsSdD\u{300}\u{301}\u{302}\u{307}\u{308}\u{323}\u{327}\u{338}]{1,8}",
    ]
}
