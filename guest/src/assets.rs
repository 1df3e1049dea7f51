//! Compressed assets that the build script embeds (DEFLATE, RFC 1951) and that are
//! inflated on first use.

use std::sync::OnceLock;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

/// A file that the build script compressed.
pub struct Packed {
    packed: &'static [u8],
    unpacked: OnceLock<String>,
}

impl Packed {
    /// Creates an asset from the output of the build script.
    pub const fn new(packed: &'static [u8]) -> Packed {
        Packed {
            packed,
            unpacked: OnceLock::new(),
        }
    }

    /// Returns the uncompressed text.
    pub fn text(&self) -> &str {
        self.unpacked.get_or_init(|| inflate(self.packed))
    }
}

#[expect(
    clippy::expect_used,
    reason = "the build script packs nothing but text, and an empty text in its place would \
        allow every common password"
)]
fn inflate(packed: &[u8]) -> String {
    // With the length known, the text is written once, to its place.
    let (length, packed) = packed
        .split_first_chunk()
        .expect("the build script writes a length");
    let length = u32::from_le_bytes(*length) as usize;
    let mut unpacked = vec![0; length];
    let packed = std::iter::once(packed);
    let written = decompress_slice_iter_to_slice(&mut unpacked, packed, false, false);
    assert!(written == Ok(length), "the build script deflated it");
    String::from_utf8(unpacked).expect("the build script packs text")
}

/// Embeds the asset that the build script compressed under this name.
macro_rules! packed {
    ($name:literal) => {
        $crate::assets::Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/", $name)))
    };
}
pub(crate) use packed;

#[cfg(test)]
mod tests {
    use super::Packed;

    #[test]
    #[should_panic(expected = "the build script deflated it")]
    fn an_asset_that_does_not_inflate_stops_the_component() {
        Packed::new(&[1, 0, 0, 0, 0xff]).text();
    }

    #[test]
    #[should_panic(expected = "the build script packs text")]
    fn an_asset_that_is_not_text_stops_the_component() {
        let packed = miniz_oxide::deflate::compress_to_vec(&[0xff], 1);
        Packed::new([&[1, 0, 0, 0], &*packed].concat().leak()).text();
    }
}
