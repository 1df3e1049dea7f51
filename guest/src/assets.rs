//! What the component carries about and seldom looks at, packed by the build script
//! (DEFLATE, RFC 1951): it is unpacked once, by the first who asks.

use std::sync::OnceLock;

use miniz_oxide::inflate::decompress_to_vec;

/// A file that the build script packed.
pub struct Packed {
    packed: &'static [u8],
    unpacked: OnceLock<Vec<u8>>,
}

impl Packed {
    /// Of what the build script wrote.
    pub const fn new(packed: &'static [u8]) -> Packed {
        Packed {
            packed,
            unpacked: OnceLock::new(),
        }
    }

    /// What was packed.
    pub fn bytes(&self) -> &[u8] {
        // What we packed ourselves can be unpacked.
        self.unpacked
            .get_or_init(|| decompress_to_vec(self.packed).unwrap_or_default())
    }

    /// The same, of a text.
    pub fn text(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

/// What the build script packed under this name.
macro_rules! packed {
    ($name:literal) => {
        $crate::assets::Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/", $name)))
    };
}
pub(crate) use packed;
