//! Escapes untrusted text for logs and terminals: user names, header fields, texts of a
//! component.
//!
//! Some characters are invisible and change how the text around them is read. They end
//! a line where programs split lines (U+2028, U+0085), move the cursor (ESC), reverse
//! the direction of a line (U+202E), or hide text within other text (U+E0041). They are
//! written as escapes, so that a line shows what it contains.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns whether a character is deceptive: controls (Cc), formats (Cf), line and
/// paragraph separators (Zl, Zp), and all others that programs display as nothing
/// (Default_Ignorable_Code_Point).
pub fn is_deceptive(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        // Unicode 17: Cf, Zl and Zp, and the other characters that are ignorable by
        // default.
        '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// Returns a text with each such character escaped as in Rust: `\n`, `\u{202e}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |character, out| {
        out.extend(character.escape_default())
    })
}

/// Returns JSON with each such character escaped as in JSON: `\u202e`. It means the
/// same.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    escaped(json, |character, out| match character {
        // These stand between tokens; strings in JSON cannot contain them.
        '\n' | '\r' | '\t' => out.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let Some(first) = text.find(is_deceptive) else {
        return Cow::Borrowed(text);
    };
    let (plain, rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(plain);
    for character in rest.chars() {
        if is_deceptive(character) {
            escape(character, &mut out)
        } else {
            out.push(character)
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deceptive_characters_are_escaped() {
        for (text, shown) in [
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("a\u{85}b\r\nc\td", r"a\u{85}b\r\nc\td"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a@b.c\u{202e}moc", r"a@b.c\u{202e}moc"),
            ("a\u{e0041}b", r"a\u{e0041}b"),
            ("\u{feff}a\u{ad}\u{200b}", r"\u{feff}a\u{ad}\u{200b}"),
            ("\u{3164}\u{fe0f}", r"\u{3164}\u{fe0f}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        for plain in ["", "alice", "rene\u{301}", "का มี 김철수 🙂", "\\n \"x\""] {
            assert_eq!(printable(plain), plain);
            assert_eq!(printable_json(plain), plain);
        }
    }

    #[test]
    fn escaped_json_has_the_same_meaning() {
        let all: String = ('\0'..=char::MAX).filter(|c| is_deceptive(*c)).collect();
        let value = serde_json::json!({ "a\u{2028}": [all, "é🙂\"\\"] });
        let json = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&json);
        assert!(!shown.contains(|c| is_deceptive(c) && c != '\n'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn escapes_match_rust_except_for_ignorable_characters() {
        let is_escaped = |c: char| format!("x{c}").escape_debug().count() > 2;
        let is_ignorable = |c: char| {
            matches!(
                c,
                '\u{34f}'
                    | '\u{115f}'..='\u{1160}'
                    | '\u{17b4}'..='\u{17b5}'
                    | '\u{180b}'..='\u{180f}'
                    | '\u{3164}'
                    | '\u{fe00}'..='\u{fe0f}'
                    | '\u{ffa0}'
                    | '\u{e0100}'..='\u{e01ef}'
            )
        };
        for c in ('\0'..=char::MAX).filter(|c| is_deceptive(*c)) {
            assert!(is_escaped(c) || is_ignorable(c), "{c:?}");
        }
    }
}
