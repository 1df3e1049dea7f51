//! Time as the domain counts it.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// RFC 3339 has four digits for the year and no more.
const END_OF_YEAR_9999_MS: u64 = 253_402_300_799_999;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    /// Milliseconds since 1970.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970: the NumericDate of RFC 7519 section 2.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// How long it is from `earlier` to this; zero when that lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-07-28T09:00:00.000Z`.
    pub fn to_rfc3339(self) -> String {
        let moment = UNIX_EPOCH + Duration::from_millis(self.0.min(END_OF_YEAR_9999_MS));
        humantime::format_rfc3339_millis(moment).to_string()
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, duration: Duration) -> Timestamp {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn known_moments_are_written_as_rfc3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_785_229_200_001, "2026-07-28T09:00:00.001Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_ms(ms).to_rfc3339(), text);
        }
    }
}
