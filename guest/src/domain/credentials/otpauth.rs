//! Transfers a TOTP secret to an app: the `otpauth` URI, also as a QR code.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::render::{svg, unicode::Dense1x2};
use qrcode::{EcLevel, QrCode};

use super::totp::{DIGITS, STEP_SECONDS, TotpSecret};
use crate::domain::accounts::username::Username;
use crate::error::{AuthError, Result};
use crate::types::secret::Secret;

/// All characters except the unreserved ones of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The longest issuer shown; with a longer one the URI might not fit into a QR code.
const MAX_ISSUER_CHARS: usize = 64;

/// Returns the URI that apps agree on, although no standard defines it: the label is
/// `issuer:account`, and a parameter repeats the issuer.
pub fn uri(issuer: &str, username: &Username, secret: &TotpSecret) -> Secret {
    let issuer = label(issuer.split_once("://").map_or(issuer, |(_, rest)| rest));
    let account = label(username.as_str());
    let secret = secret.to_base32();
    Secret::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1\
         &digits={DIGITS}&period={STEP_SECONDS}",
        secret.expose()
    ))
}

/// Escapes a part of the label. A colon, encoded or not, would end the issuer, so colons
/// are replaced in both parts.
fn label(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(MAX_ISSUER_CHARS)
        .map(|character| if character == ':' { '-' } else { character })
        .collect();
    utf8_percent_encode(&shown, RESERVED).to_string()
}

/// Draws a QR code of the text in block characters, two rows of the code per line, for a
/// terminal with light text on a dark background.
pub fn qr_text(text: &Secret) -> Result<Secret> {
    let blocks = code(text)?
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    Ok(Secret::new(blocks))
}

/// Draws a QR code of the text as SVG.
pub fn qr_svg(text: &Secret) -> Result<Secret> {
    let code = code(text)?;
    let svg = code.render::<svg::Color>().module_dimensions(4, 4).build();
    Ok(Secret::new(svg))
}

// The lowest level of error correction suffices, since the code is read from a screen.
fn code(text: &Secret) -> Result<QrCode> {
    QrCode::with_error_correction_level(text.expose(), EcLevel::L)
        .map_err(|_| AuthError::unavailable(Duration::from_secs(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use crate::types::id::Id;

    fn uri_of(issuer: &str, username: &str) -> String {
        let world = World::new();
        let id = Id::from_bytes([1; 16]);
        let secret = TotpSecret::derive(id, id, &world.ports()).unwrap();
        let username = Username::try_from(username.to_owned()).unwrap();
        let uri = uri(issuer, &username, &secret).expose().to_owned();
        uri.replace(secret.to_base32().expose(), "SECRET")
    }

    #[test]
    fn the_uri_has_the_format_that_authenticator_apps_read() {
        assert_eq!(
            uri_of("Acme & Sons", "ren\u{e9}@x"),
            "otpauth://totp/Acme%20%26%20Sons:ren%C3%A9%40x?secret=SECRET\
             &issuer=Acme%20%26%20Sons&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn colons_in_the_parts_of_the_label_are_replaced() {
        let uri = uri_of("https://auth.example.com:8443", "alice");
        assert!(uri.starts_with("otpauth://totp/auth.example.com-8443:alice?"));
    }

    #[test]
    fn the_longest_issuer_and_name_fit_into_a_qr_code() {
        let uri = Secret::new(uri_of(&"\u{20ac}".repeat(256), &"\u{e9}".repeat(64)));
        assert!(qr_svg(&uri).unwrap().expose().starts_with("<?xml"));
        let text = qr_text(&uri).unwrap();
        let widths = text.expose().lines().map(|line| line.chars().count());
        let widths: Vec<usize> = widths.collect();
        assert!(
            widths
                .iter()
                .all(|width| *width == widths[0] && *width <= 185)
        );
    }
}
