//! The reasons why a text is not a valid user name or password.

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use super::VERSION;

/// The reason why a text is not a valid user name or password, for the user who typed it.
/// The only part of the text that it shows is the one character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The text is empty.
    Empty,
    /// A character is not allowed at its position.
    Character {
        /// The character.
        character: char,
        /// The position, counted in characters from 1.
        position: usize,
    },
    /// The text mixes directions.
    Direction,
}

impl Unfit {
    /// Returns the error for the character at this index.
    pub(super) fn at(index: usize, character: char) -> Unfit {
        Unfit::Character {
            character,
            position: index + 1,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::Empty => f.write_str("it is empty"),
            Unfit::Character {
                character,
                position,
            } => {
                let code = u32::from(*character);
                let kind = kind(*character);
                write!(f, "U+{code:04X} at position {position} is {kind}")
            }
            Unfit::Direction => f.write_str(
                "it mixes letters that are written from right to left with others, or begins or \
                 ends with a mark or digit (RFC 5893)",
            ),
        }
    }
}

/// Returns the name of the kind of a character that is invisible or not allowed.
fn kind(character: char) -> impl fmt::Display {
    use GeneralCategory as Category;
    let name = match CodePointMapData::<Category>::new().get(character) {
        Category::Control => "a control character",
        Category::LineSeparator | Category::ParagraphSeparator => "a line break",
        Category::SpaceSeparator => "a space",
        Category::Format => "an invisible character",
        Category::PrivateUse => "a character for private use",
        Category::Unassigned => return format!("not a character of Unicode {VERSION}"),
        Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol => "a symbol",
        Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => "a mark",
        _ => "a character that is not allowed there",
    };
    name.to_owned()
}
