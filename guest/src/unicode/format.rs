//! The tables, as the build script writes and the component reads them: both include
//! this file. They are numbers in LEB128, packed.

/// A code point may stand in a user name (IdentifierClass of RFC 8264).
pub const IN_NAMES: u16 = 1 << 0;
/// A code point may stand in a password (FreeformClass of RFC 8264).
pub const IN_PASSWORDS: u16 = 1 << 1;
/// It may where its rule in RFC 5892 appendix A lets it, and only there.
pub const BY_CONTEXT: u16 = 1 << 2;
/// A blank, and in a password the same as any other.
pub const SPACE: u16 = 1 << 3;

/// For the rules of RFC 5892 appendix A: a virama.
pub const VIRAMA: u16 = 1 << 4;
/// Joins what stands after it (Joining_Type L or D).
pub const JOINS_NEXT: u16 = 1 << 5;
/// Joins what stands before it (Joining_Type R or D).
pub const JOINS_PREVIOUS: u16 = 1 << 6;
/// Lets others join across it (Joining_Type T).
pub const TRANSPARENT: u16 = 1 << 7;
/// Of the Greek script.
pub const GREEK: u16 = 1 << 8;
/// Of the Hebrew script.
pub const HEBREW: u16 = 1 << 9;
/// Of the scripts Hiragana, Katakana or Han.
pub const KANA_OR_HAN: u16 = 1 << 10;

/// For the Bidi Rule of RFC 5893 section 2: Bidi_Class R or AL.
pub const RIGHT_TO_LEFT: u16 = 1 << 11;
/// Bidi_Class AN.
pub const ARABIC_NUMBER: u16 = 1 << 12;
/// Bidi_Class EN.
pub const EUROPEAN_NUMBER: u16 = 1 << 13;
/// Bidi_Class ES, CS, ET, ON or BN.
pub const NEUTRAL: u16 = 1 << 14;
/// Bidi_Class NSM.
pub const NONSPACING: u16 = 1 << 15;

/// Of a decomposition: in two, which compose to the same again. Others do not (UAX #15
/// section 5).
pub const COMPOSES: u8 = 1 << 0;
/// A compatibility decomposition.
pub const COMPATIBLE: u8 = 1 << 1;
/// That of a full-width or half-width form.
pub const WIDTH: u8 = 1 << 2;
/// The bits of these; those above them are its length.
pub const KIND_BITS: u32 = 3;
