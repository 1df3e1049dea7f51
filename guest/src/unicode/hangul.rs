//! Hangul syllables and their jamo: section 3.12 of the Unicode Standard.

const SYLLABLES: u32 = 0xac00;
const LEADING: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
/// One before the first: a syllable need not have one.
const TRAILING: u32 = 0x11a7;
const LEADING_COUNT: u32 = 19;
const VOWEL_COUNT: u32 = 21;
const TRAILING_COUNT: u32 = 28;

/// The two or three jamo of a syllable; `None`: it is none.
pub fn decompose(c: char) -> Option<impl Iterator<Item = char>> {
    let index = below(c, SYLLABLES, LEADING_COUNT * VOWEL_COUNT * TRAILING_COUNT)?;
    let (pair, trailing) = (index / TRAILING_COUNT, index % TRAILING_COUNT);
    let jamo = [
        Some(LEADING + pair / VOWEL_COUNT),
        Some(VOWELS + pair % VOWEL_COUNT),
        (trailing > 0).then_some(TRAILING + trailing),
    ];
    Some(jamo.into_iter().flatten().filter_map(char::from_u32))
}

/// The syllable that a leading jamo and a vowel make, or such a syllable and a trailing
/// jamo.
pub fn compose(first: char, second: char) -> Option<char> {
    if let (Some(leading), Some(vowel)) = (
        below(first, LEADING, LEADING_COUNT),
        below(second, VOWELS, VOWEL_COUNT),
    ) {
        return char::from_u32(SYLLABLES + (leading * VOWEL_COUNT + vowel) * TRAILING_COUNT);
    }
    let syllable = below(
        first,
        SYLLABLES,
        LEADING_COUNT * VOWEL_COUNT * TRAILING_COUNT,
    )?;
    let trailing = below(second, TRAILING, TRAILING_COUNT)?;
    let open = syllable.is_multiple_of(TRAILING_COUNT) && trailing > 0;
    open.then(|| char::from_u32(u32::from(first) + trailing))?
}

/// Which of so many code points from the first on it is.
fn below(c: char, first: u32, count: u32) -> Option<u32> {
    u32::from(c)
        .checked_sub(first)
        .filter(|index| *index < count)
}
