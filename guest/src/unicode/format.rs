//! The tables, as the build script writes and the component reads them: both include
//! this file. They are numbers in LEB128, packed.

/// A code point may stand in a user name (IdentifierClass of RFC 8264).
pub const IN_NAMES: u32 = 1 << 0;
/// A code point may stand in a password (FreeformClass of RFC 8264).
pub const IN_PASSWORDS: u32 = 1 << 1;
/// It may where its rule in RFC 5892 appendix A lets it, and only there.
pub const BY_CONTEXT: u32 = 1 << 2;
/// A blank, and in a password the same as any other.
pub const SPACE: u32 = 1 << 3;

/// A full-width or half-width form.
pub const WIDE_OR_NARROW: u32 = 1 << 4;
/// May be something else in NFC (NFC_Quick_Check is not Yes).
pub const MAY_NORMALIZE: u32 = 1 << 5;

/// For the rules of RFC 5892 appendix A: a virama.
pub const VIRAMA: u32 = 1 << 6;
/// Joins what stands after it (Joining_Type L or D).
pub const JOINS_NEXT: u32 = 1 << 7;
/// Joins what stands before it (Joining_Type R or D).
pub const JOINS_PREVIOUS: u32 = 1 << 8;
/// Lets others join across it (Joining_Type T).
pub const TRANSPARENT: u32 = 1 << 9;
/// Of the Greek script.
pub const GREEK: u32 = 1 << 10;
/// Of the Hebrew script.
pub const HEBREW: u32 = 1 << 11;
/// Of the scripts Hiragana, Katakana or Han.
pub const KANA_OR_HAN: u32 = 1 << 12;

/// For the Bidi Rule of RFC 5893 section 2: Bidi_Class R or AL.
pub const RIGHT_TO_LEFT: u32 = 1 << 13;
/// Bidi_Class AN.
pub const ARABIC_NUMBER: u32 = 1 << 14;
/// Bidi_Class EN.
pub const EUROPEAN_NUMBER: u32 = 1 << 15;
/// Bidi_Class ES, CS, ET, ON or BN.
pub const NEUTRAL: u32 = 1 << 16;
/// Bidi_Class NSM.
pub const NONSPACING: u32 = 1 << 17;

/// Of a decomposition: in two, which compose to the same again. Others do not (UAX #15
/// section 5).
pub const COMPOSES: u8 = 1 << 0;
/// A compatibility decomposition.
pub const COMPATIBLE: u8 = 1 << 1;
/// That of a full-width or half-width form.
pub const WIDTH: u8 = 1 << 2;
/// The bits of these; those above them are its length.
pub const KIND_BITS: u32 = 3;
