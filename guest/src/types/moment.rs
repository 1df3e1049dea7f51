//! Dates and times in the input of operations.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::time::Timestamp;

/// A date and time in RFC 3339, such as `2026-07-28T09:00:00Z` or
/// `2026-07-28T11:00:00.5+02:00`, not before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Moment(Timestamp);

impl Moment {
    /// Returns the time as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Moment, Self::Error> {
        parse(&text)
            .map(Moment)
            .ok_or("expected a date and time in RFC 3339, such as 2026-07-28T09:00:00Z")
    }
}

/// A date and time as other systems write it: RFC 3339 as in [`Moment`], or milliseconds
/// since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct CreatedAt(Timestamp);

/// The smallest number accepted as milliseconds. As milliseconds it is March 1973, as
/// seconds a year in the far future, so smaller numbers are probably not milliseconds.
const LEAST_MS: u64 = 100_000_000_000;
const CREATED_AT: &str =
    "a date and time in RFC 3339, such as 2026-07-28T09:00:00Z, or the milliseconds since 1970";

impl CreatedAt {
    /// Returns the time as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl<'de> Deserialize<'de> for CreatedAt {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<CreatedAt, D::Error> {
        input.deserialize_any(CreatedAtVisitor)
    }
}

struct CreatedAtVisitor;

impl Visitor<'_> for CreatedAtVisitor {
    type Value = CreatedAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CREATED_AT)
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<CreatedAt, E> {
        // Timestamps, and their written form, end with the year 9999.
        match ms {
            LEAST_MS..=253_402_300_799_999 => Ok(CreatedAt(Timestamp::from_ms(ms))),
            _ => Err(E::custom(format_args!("expected {CREATED_AT}"))),
        }
    }

    fn visit_f64<E: de::Error>(self, ms: f64) -> Result<CreatedAt, E> {
        match ms.fract() == 0.0 && ms >= 0.0 {
            true => self.visit_u64(ms as u64),
            false => Err(E::custom(format_args!("expected {CREATED_AT}"))),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<CreatedAt, E> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let moment = match text.parse() {
            Ok(ms) if digits => return self.visit_u64(ms),
            _ => parse(text),
        };
        moment
            .map(CreatedAt)
            .ok_or_else(|| E::custom(format_args!("expected {CREATED_AT}")))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    const LONGEST: usize = "2026-07-28T09:00:00.123456789+02:00".len();
    // ASCII text can be split at any byte.
    if !text.is_ascii() || text.len() > LONGEST {
        return None;
    }
    let (local, ahead, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, true, Duration::ZERO),
        None => {
            let (local, offset) = text.split_at(text.len().checked_sub("+02:00".len())?);
            let (hours, minutes) = offset[1..].split_once(':')?;
            let ahead = match &offset[..1] {
                "+" => true,
                "-" => false,
                _ => return None,
            };
            let minutes = two_digits(hours, 23)? * 60 + two_digits(minutes, 59)?;
            (local, ahead, Duration::from_secs(minutes * 60))
        }
    };
    // `humantime` accepts UTC only, and ignores what follows its first Z.
    if local.contains('Z') {
        return None;
    }
    let moment = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let moment = moment.duration_since(UNIX_EPOCH).ok()?;
    let utc = match ahead {
        true => moment.checked_sub(offset)?,
        false => moment.checked_add(offset)?,
    };
    Some(Timestamp::from_ms(u64::try_from(utc.as_millis()).ok()?))
}

fn two_digits(text: &str, most: u64) -> Option<u64> {
    let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten()?;
    (number <= most).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::Moment;

    fn ms(text: &str) -> Option<u64> {
        let moment = Moment::try_from(text.to_owned()).ok()?;
        Some(moment.timestamp().ms())
    }

    #[test]
    fn the_same_moment_in_any_time_zone_is_equal() {
        for text in [
            "2026-07-28T09:00:00Z",
            "2026-07-28T09:00:00.000z",
            "2026-07-28T11:00:00+02:00",
            "2026-07-28T03:30:00.0-05:30",
        ] {
            assert_eq!(ms(text), Some(1_785_229_200_000), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "Z",
            "+02:00",
            "2026-07-28",
            "2026-07-28T09:00:00",
            "2026-02-30T09:00:00Z",
            "2026-07-28T09:00:00+2:00",
            "2026-07-28T09:00:00+24:00",
            "2026-07-28T09:00:00ZZ",
            "1970-01-01T00:00:00+01:00",
            "2026-07-28T09:00:00+\u{e9}0:00",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }
}
