//! The logo on the pages of the authorization server, which browsers get from this server.

use bytes::Bytes;

/// Large enough for a logo, and small enough to send it to everyone who signs in.
const MAX_BYTES: usize = 64 << 10;

/// A picture in a format that contains no scripts, unlike SVG.
#[derive(Clone)]
pub struct Logo {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: &'static str,
}

/// Reasons why a picture cannot be the logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// The picture is too large.
    #[error("has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// The picture is in another format.
    #[error("is no PNG, WebP or JPEG")]
    UnknownFormat,
}

impl Logo {
    /// Maximum size of the picture in bytes.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Creates the logo from the bytes of a PNG, a WebP or a JPEG. The first of them tell
    /// which it is.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, LogoError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_BYTES {
            return Err(LogoError::TooLarge);
        }
        let media_type = match &bytes[..] {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
            [0xff, 0xd8, 0xff, ..] => "image/jpeg",
            // Between them is the length.
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => "image/webp",
            _ => return Err(LogoError::UnknownFormat),
        };
        Ok(Self { bytes, media_type })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_what_a_logo_is() {
        let kind = |bytes: &[u8]| Logo::new(bytes.to_vec()).map(|logo| logo.media_type);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\nrest"), Ok("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0rest"), Ok("image/jpeg"));
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPrest"), Ok("image/webp"));
        let other: [&[u8]; 6] = [
            b"",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            b"<?xml version=\"1.0\"?><svg/>",
            b"<!doctype html>",
            b"GIF89a",
            b"RIFF\0\0\0\0WAVE",
        ];
        for other in other {
            assert_eq!(kind(other), Err(LogoError::UnknownFormat), "{other:?}");
        }
        let mut largest = b"\xff\xd8\xff".to_vec();
        largest.resize(MAX_BYTES, 0);
        assert!(kind(&largest).is_ok());
        largest.push(0);
        assert_eq!(kind(&largest), Err(LogoError::TooLarge));
    }
}
