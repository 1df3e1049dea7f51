//! Compressed assets that the build script embeds (DEFLATE, RFC 1951) and that are
//! inflated on first use.

use std::sync::OnceLock;

use miniz_oxide::inflate::decompress_to_vec;

/// A file that the build script compressed.
pub struct Packed {
    packed: &'static [u8],
    unpacked: OnceLock<Vec<u8>>,
}

impl Packed {
    /// Creates an asset from the output of the build script.
    pub const fn new(packed: &'static [u8]) -> Packed {
        Packed {
            packed,
            unpacked: OnceLock::new(),
        }
    }

    /// Returns the uncompressed bytes.
    pub fn bytes(&self) -> &[u8] {
        // The build script's own output can always be inflated.
        self.unpacked
            .get_or_init(|| decompress_to_vec(self.packed).unwrap_or_default())
    }

    /// Returns the uncompressed text.
    pub fn text(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

/// Embeds the asset that the build script compressed under this name.
macro_rules! packed {
    ($name:literal) => {
        $crate::assets::Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/", $name)))
    };
}
pub(crate) use packed;
