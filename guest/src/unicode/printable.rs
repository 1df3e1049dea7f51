//! Characters that are not seen and change how what stands around them is read: they
//! end a line, move a cursor, turn the direction of a line around, hide a text within
//! another. The host has the same list, in `host/src/printable.rs`.

/// Whether a character is one of those: controls (Cc), formats (Cf), separators of
/// lines and paragraphs (Zl, Zp), and all others that programs show as nothing
/// (Default_Ignorable_Code_Point).
pub fn is_deceptive(character: char) -> bool {
    match character {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        // Of Unicode 17: Cf, Zl and Zp, and what else is ignorable by default.
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

/// What is wrong with a text of one line that others read, if anything. The joiner and
/// the selector of which emoji are made are no deception.
pub fn problem_of_line(text: &str) -> Option<&'static str> {
    let is_of_emoji = |character| matches!(character, '\u{200d}' | '\u{fe0f}');
    let is_refused = |character| is_deceptive(character) && !is_of_emoji(character);
    text.contains(is_refused)
        .then_some("expected one line, without control characters and characters that are not seen")
}
