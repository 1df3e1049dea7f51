//! Why a text is no user name or password.

use std::fmt;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use super::VERSION;

/// Why a text is no user name or password, in words for those who typed it: of the text
/// itself they hold the one character that cannot stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There is nothing.
    Empty,
    /// A character cannot stand where it does.
    Character {
        /// Which.
        character: char,
        /// Where, counted in characters from 1.
        position: usize,
    },
    /// The text mixes directions.
    Direction,
}

impl Unfit {
    /// The character at this index.
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

/// What to call a character that cannot be shown, or that looks as if it could stand.
fn kind(character: char) -> impl fmt::Display {
    use GeneralCategory as Category;
    let name = match CodePointMapData::<Category>::new().get(character) {
        Category::Control => "a control character",
        Category::LineSeparator | Category::ParagraphSeparator => "a line break",
        Category::SpaceSeparator => "a blank",
        Category::Format => "an invisible character",
        Category::PrivateUse => "a character for private use",
        Category::Unassigned => return format!("no character of Unicode {VERSION}"),
        Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol => "a symbol",
        Category::NonspacingMark | Category::SpacingMark | Category::EnclosingMark => "a mark",
        _ => "a character that cannot stand there",
    };
    name.to_owned()
}
