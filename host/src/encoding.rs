//! Decodes text from files and pipes. Programs on Windows put a byte order mark before
//! UTF-8, and some write UTF-16.

/// The byte order mark in UTF-8.
const MARK: char = '\u{feff}';

/// Returns UTF-8 bytes as text, without a byte order mark, or an error that names the
/// encoding found. The error shows none of the bytes.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    // The byte order marks of UTF-32 begin or end with these.
    let is_wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
        // Text begins with ASCII here, which in UTF-16 has a zero byte beside each
        // character.
        || matches!(bytes, [0, _, ..] | [_, 0, ..]);
    if is_wide {
        return Err("is UTF-16, not UTF-8; save it as UTF-8".to_owned());
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        format!("is not UTF-8 in line {line}; save it as UTF-8")
    })?;
    Ok(text.strip_prefix(MARK).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn utf_8_is_decoded_with_and_without_a_byte_order_mark() {
        assert_eq!(text(b"{}"), Ok("{}"));
        assert_eq!(text(b"\xef\xbb\xbf{}"), Ok("{}"));
        assert_eq!(text(b""), Ok(""));
        assert_eq!(text("é".as_bytes()), Ok("é"));
    }

    #[test]
    fn other_encodings_are_named() {
        let wide = |mark: &[u8], encode: fn(u16) -> [u8; 2]| {
            let units = "{\"a\": 1}".encode_utf16().flat_map(encode);
            mark.iter().copied().chain(units).collect::<Vec<u8>>()
        };
        for bytes in [
            wide(b"\xff\xfe", u16::to_le_bytes),
            wide(b"\xfe\xff", u16::to_be_bytes),
            wide(b"", u16::to_le_bytes),
            wide(b"", u16::to_be_bytes),
            b"\xff\xfe\x00\x00{\x00\x00\x00".to_vec(),
            b"\x00\x00\xfe\xff\x00\x00\x00{".to_vec(),
        ] {
            assert!(text(&bytes).unwrap_err().starts_with("is UTF-16"));
        }
        let latin1 = text(b"{\n\"a\": \"\xe9\"}").unwrap_err();
        assert!(latin1.starts_with("is not UTF-8 in line 2"), "{latin1}");
    }
}
