//! Held against the libraries that the tables were asked of: the same texts are taken,
//! in the same form, and the same are refused.

use std::borrow::Cow;

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_public_assigned;

use super::normalization::{characters, nfc, string};
use super::{nfkc, opaque_string, username_case_mapped};

/// Fails where we and the libraries differ.
fn compare(text: &str) {
    let name = UsernameCaseMapped::enforce(text).ok();
    assert_eq!(
        username_case_mapped(text),
        name.map(Cow::into_owned),
        "the name {text:?}"
    );
    let password = OpaqueString::enforce(text).ok();
    let ours = opaque_string(text);
    assert_eq!(
        ours.as_deref().map(String::as_str),
        password.as_deref(),
        "the password {text:?}"
    );
    compare_normal_forms(text);
}

fn compare_normal_forms(text: &str) {
    let ours = string(&nfc(&characters(text)));
    assert!(ours.chars().eq(text.nfc()), "NFC of {text:?}: {ours:?}");
    let ours = nfkc(text);
    assert!(ours.chars().eq(text.nfkc()), "NFKC of {text:?}: {ours:?}");
}

fn compare_all(around: impl Fn(char) -> String) {
    for c in '\0'..=char::MAX {
        compare(&around(c));
    }
}

fn compare_assigned(around: impl Fn(char) -> String) {
    for c in ('\0'..=char::MAX).filter(|c| is_public_assigned(*c)) {
        compare(&around(c));
    }
}

#[test]
fn every_code_point_alone() {
    compare_all(|c| c.to_string());
}

#[test]
fn every_code_point_after_a_letter() {
    compare_all(|c| format!("a{c}"));
}

#[test]
fn every_code_point_before_a_letter() {
    compare_all(|c| format!("{c}a"));
}

#[test]
fn every_code_point_after_a_mark() {
    compare_all(|c| format!("e\u{301}{c}"));
}

#[test]
fn every_code_point_where_it_may_compose_or_change_places() {
    compare_assigned(|c| c.nfd().collect());
    compare_assigned(|c| c.nfkd().collect());
    compare_assigned(|c| format!("{c}\u{301}\u{323}"));
    compare_assigned(|c| format!("\u{1112}\u{1161}{c}"));
}

#[test]
fn every_code_point_where_it_may_be_a_context() {
    compare_assigned(|c| format!("{c}\u{200d}"));
    compare_assigned(|c| format!("\u{628}{c}\u{200c}\u{628}"));
    compare_assigned(|c| format!("\u{628}\u{200c}{c}\u{628}"));
    compare_assigned(|c| format!("{c}\u{64e}\u{200c}\u{64e}\u{628}"));
    compare_assigned(|c| format!("\u{628}\u{64e}\u{200c}\u{64e}{c}"));
    compare_assigned(|c| format!("l\u{b7}{c}"));
    compare_assigned(|c| format!("{c}\u{b7}l"));
    compare_assigned(|c| format!("\u{375}{c}\u{3b1}"));
    compare_assigned(|c| format!("\u{5d0}{c}\u{5f3}"));
    compare_assigned(|c| format!("{c}\u{5f4}"));
    compare_assigned(|c| format!("{c}\u{30fb}"));
    compare_assigned(|c| format!("\u{30fb}\u{30fb}{c}"));
    compare_assigned(|c| format!("\u{627}{c}\u{660}"));
    compare_assigned(|c| format!("\u{627}{c}\u{6f0}"));
}

#[test]
fn every_code_point_where_a_direction_counts() {
    compare_assigned(|c| format!("{c}\u{5d0}"));
    compare_assigned(|c| format!("\u{5d0}{c}"));
    compare_assigned(|c| format!("\u{5d0}{c}\u{5d0}"));
    compare_assigned(|c| format!("\u{5d0}{c}\u{5b7}"));
    compare_assigned(|c| format!("\u{5d0}1{c}"));
    compare_assigned(|c| format!("a{c}\u{5d0}"));
}

/// Every syllable as its jamo, and as an open syllable and a trailing jamo.
#[test]
fn every_hangul_syllable_from_its_parts() {
    for c in '\u{ac00}'..='\u{d7a3}' {
        compare_normal_forms(&c.nfd().collect::<String>());
        for trailing in ['\u{11a7}', '\u{11a8}', '\u{11c2}', '\u{11c3}'] {
            compare_normal_forms(&format!("{c}{trailing}"));
        }
    }
}

/// What decides something somewhere, and is rare among all code points.
fn telling() -> impl Strategy<Value = char> {
    let telling: Vec<char> = [
        // Plain, upper case, sigmas, Cherokee, title case, dotted and dotless i.
        "al1 -ASZΣσςßẞ\u{13a0}\u{13ef}\u{ab70}\u{1c5}\u{1f88}\u{130}\u{131}",
        // Singletons and ligatures.
        "\u{212a}\u{212b}\u{2126}\u{2000}\u{3000}\u{a0}\u{fb01}\u{fb2c}\u{fdfa}\u{337f}\u{1d400}",
        // Marks of several classes, some that decompose or compose with one another.
        "\u{300}\u{301}\u{308}\u{304}\u{323}\u{327}\u{338}\u{340}\u{344}\u{345}\u{35c}\u{302a}",
        "\u{e9}\u{1e69}\u{1e0b}\u{1fb7}\u{2adc}\u{958}\u{915}\u{93c}\u{f71}\u{f72}\u{f73}\u{f81}",
        "\u{1100}\u{1112}\u{1161}\u{1175}\u{11a7}\u{11a8}\u{11c2}\u{ac00}\u{ac01}\u{d7a3}",
        "\u{9c7}\u{9be}\u{9d7}\u{1025}\u{102e}\u{11131}\u{11127}\u{1d15e}\u{1d165}\u{16d63}\u{16d67}",
        // Where contexts and directions count.
        "\u{5d0}\u{5d1}\u{5b7}\u{5f3}\u{5f4}\u{fb1d}\u{627}\u{628}\u{62f}\u{64e}\u{653}\u{622}",
        "\u{660}\u{669}\u{6f0}\u{6f9}\u{66b}\u{200c}\u{200d}\u{94d}\u{1039}\u{a872}\u{712}\u{70f}",
        "\u{b7}\u{375}\u{3b1}\u{30fb}\u{30a2}\u{3042}\u{4e00}\u{3007}\u{202e}\u{61c}.,+#!",
        // Full-width and half-width forms.
        "\u{ff21}\u{ff41}\u{ff11}\u{ff0e}\u{ff76}\u{ff9e}\u{ff9f}\u{ffa1}\u{ffc2}\u{ffe3}\u{ff65}\u{ffe8}",
    ]
    .concat()
    .chars()
    .collect();
    prop_oneof![8 => prop::sample::select(telling), 1 => any::<char>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn texts_of_what_is_telling(text in prop::collection::vec(telling(), 0..8)) {
        compare(&text.into_iter().collect::<String>());
    }

    #[test]
    fn names_of_one_script(text in one_script()) {
        compare(&text);
    }
}

/// Texts of which more than a few are names.
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
