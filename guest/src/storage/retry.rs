//! Retries attempts to commit a change that lost a race.

use std::time::Duration;

use crate::error::{AuthError, Result};

/// The most changes that may overtake one operation on one account: each lost race means
/// that another change succeeded.
const MAX_ATTEMPTS: usize = 100;

/// The end of one attempt to change records that others may change at the same time.
#[must_use]
#[derive(Debug)]
pub enum Race<T> {
    /// Nothing came in between.
    Won(T),
    /// Another change came first, and nothing was changed: read again and try again.
    Lost,
}

impl<T> Race<T> {
    /// Reports whether the race was won.
    pub fn is_won(&self) -> bool {
        matches!(self, Race::Won(_))
    }

    /// Converts the value, if the race was won.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Race<U> {
        match self {
            Race::Won(value) => Race::Won(convert(value)),
            Race::Lost => Race::Lost,
        }
    }
}

/// Repeats an attempt until it wins its race.
pub fn retry_on_conflict<T>(mut attempt: impl FnMut() -> Result<Race<T>>) -> Result<T> {
    for _ in 0..MAX_ATTEMPTS {
        if let Race::Won(value) = attempt()? {
            return Ok(value);
        }
    }
    Err(AuthError::unavailable(Duration::from_secs(1)))
}
