//! Timestamps.

use std::fmt;
use std::ops::Add;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The largest accepted difference between the clocks of several hosts.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The last time that RFC 3339 can represent, since its years have four digits.
const END_OF_YEAR_9999_MS: u64 = 253_402_300_799_999;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Timestamp {
        Timestamp(ms)
    }

    /// Returns milliseconds since 1970.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// Returns whole seconds since 1970: the NumericDate of RFC 7519 section 2.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time elapsed since `earlier`, or zero if that is in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Formats the time as RFC 3339 in UTC with milliseconds: `2026-07-28T09:00:00.000Z`.
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
    fn known_moments_are_formatted_as_rfc_3339() {
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
