//! Timestamps in RFC 3339: UTC, with milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time.
pub(crate) fn now() -> String {
    format(SystemTime::now())
}

/// A clock before 1970 counts as 1970, which `humantime` requires.
fn format(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time.max(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_formatted_as_rfc_3339() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(format(UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_clock_before_1970_counts_as_1970() {
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(format(before), "1970-01-01T00:00:00.000Z");
    }
}
