//! The accent colour of the pages.

/// The colours of the cards in `templates/style.css`, on which links have the accent colour.
const LIGHT: Rgb = [0xff; 3];
const DARK: Rgb = [0x18, 0x1d, 0x24];
/// WCAG 2.2 section 1.4.3.
const MIN_CONTRAST: f64 = 4.5;

/// Red, green and blue.
type Rgb = [u8; 3];

/// The colour of buttons and links, on light and on dark pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccentColor {
    light: Rgb,
    dark: Rgb,
}

impl AccentColor {
    /// Parses `#rrggbb`. On dark pages, the colour is mixed with as much white as its text
    /// needs.
    ///
    /// The error says what was expected.
    pub fn parse(text: &str) -> Result<AccentColor, String> {
        let light = hex(text).ok_or("a colour such as #1f5fbf")?;
        let contrast = contrast(light, LIGHT);
        if contrast < MIN_CONTRAST {
            // Rounded down, so that it is never shown as enough.
            let tenths = (contrast * 10.0) as u32;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return Err(format!(
                "a darker colour: white text on it needs a contrast of at least 4.5:1, and has \
                 {whole}.{tenth}:1"
            ));
        }
        let tints = (0..=16).map(|step| light.map(|part| tinted(part, step)));
        let dark = tints
            .into_iter()
            .find(|tint| self::contrast(*tint, DARK) >= MIN_CONTRAST);
        // White, the last of them, has 17:1.
        let dark = dark.unwrap_or(LIGHT);
        Ok(AccentColor { light, dark })
    }

    /// Returns the rules that follow those of the style sheet.
    pub fn css(&self) -> String {
        let hex = |[red, green, blue]: Rgb| format!("#{red:02x}{green:02x}{blue:02x}");
        format!(
            ":root{{--accent:{}}}\n@media(prefers-color-scheme:dark){{:root{{--accent:{}}}}}\n",
            hex(self.light),
            hex(self.dark)
        )
    }
}

fn hex(text: &str) -> Option<Rgb> {
    let digits = text.strip_prefix('#')?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// Mixes a part with `step` sixteenths of white.
fn tinted(part: u8, step: u16) -> u8 {
    let rest = u16::from(u8::MAX - part);
    part + u8::try_from(rest * step / 16).unwrap_or(u8::MAX - part)
}

/// WCAG 2.2, the definition of "contrast ratio".
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG 2.2, the definition of "relative luminance".
fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        match part <= 0.04045 {
            true => part / 12.92,
            // To the power of 2.4, without the tables for any exponent.
            false => fifth_root(((part + 0.055) / 1.055).powi(12)),
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// Returns the fifth root of a number from 0 to 1, by Newton's method. While it is far away,
/// each step takes off a fifth, so these are enough for what is left of the darkest colours.
fn fifth_root(of: f64) -> f64 {
    let mut root: f64 = 1.0;
    for _ in 0..50 {
        root -= (root.powi(5) - of) / (5.0 * root.powi(4));
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behind the text of a button on dark pages.
    const ON_ACCENT: Rgb = [0x0b, 0x1a, 0x30];

    #[test]
    fn the_fifth_root_of_a_power_of_twelve_is_one_of_2_4() {
        for part in 11..=u8::MAX {
            let base = (f64::from(part) / 255.0 + 0.055) / 1.055;
            let error = fifth_root(base.powi(12)) / base.powf(2.4) - 1.0;
            assert!(error.abs() < 1e-12, "{part}: {error}");
        }
    }

    #[test]
    fn every_accepted_colour_is_legible_in_both_themes() {
        let mut accepted = 0;
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let text = format!("#{red:02x}{green:02x}{blue:02X}");
                    let Ok(accent) = AccentColor::parse(&text) else {
                        assert!(contrast([red, green, blue], LIGHT) < MIN_CONTRAST, "{text}");
                        continue;
                    };
                    accepted += 1;
                    for (one, other) in [
                        (accent.light, LIGHT),
                        (accent.dark, DARK),
                        (accent.dark, ON_ACCENT),
                    ] {
                        assert!(contrast(one, other) >= MIN_CONTRAST, "{text} {accent:?}");
                    }
                }
            }
        }
        assert!(accepted > 1000);
    }

    #[test]
    fn a_pale_colour_is_rejected_with_its_contrast() {
        // The value of other calculators.
        let error = AccentColor::parse("#777777").unwrap_err();
        assert!(error.ends_with("and has 4.4:1"), "{error}");
        let error = AccentColor::parse("#ffff00").unwrap_err();
        assert!(error.ends_with("and has 1.0:1"), "{error}");
        assert!(AccentColor::parse("#767676").is_ok());
        for wrong in [
            "",
            "1f5fbf",
            "#1f5fb",
            "#1f5fbff",
            "#+f5fbf",
            "blue",
            "#1f5fb\u{e4}",
        ] {
            assert_eq!(
                AccentColor::parse(wrong).unwrap_err(),
                "a colour such as #1f5fbf"
            );
        }
    }

    #[test]
    fn the_style_sheet_has_the_colours_that_contrasts_are_measured_against() {
        let style = include_str!("../../templates/style.css");
        for colour in [
            "--card:#fff;",
            "--card:#181d24;",
            "--on-accent:#fff;",
            "--on-accent:#0b1a30;",
        ] {
            assert!(style.contains(colour), "{colour}");
        }
        let css = AccentColor::parse("#7A0019").unwrap().css();
        assert!(css.starts_with(":root{--accent:#7a0019}\n@media"), "{css}");
    }
}
