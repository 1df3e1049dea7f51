//! Invisible characters that change how the surrounding text is read: they end a line,
//! move a cursor, reverse the direction of a line, or hide a text within another. The host
//! has the same list, in `host/src/printable.rs`.

/// Reports whether a character is deceptive: controls (Cc), formats (Cf), separators of
/// lines and paragraphs (Zl, Zp), and all others that programs show as nothing
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

/// Returns what is wrong with a one-line text that others read, if anything. The joiner
/// and the selector that emoji consist of are not deceptive.
pub fn problem_of_line(text: &str) -> Option<&'static str> {
    let is_of_emoji = |character| matches!(character, '\u{200d}' | '\u{fe0f}');
    let is_refused = |character| is_deceptive(character) && !is_of_emoji(character);
    text.contains(is_refused)
        .then_some("expected one line without control characters and invisible characters")
}
