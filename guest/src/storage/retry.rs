//! Retries attempts to commit a change that lost a race.

use crate::error::{AuthError, Result};

/// The most changes that may overtake one operation on one account: each lost race means
/// that another change succeeded.
const MAX_ATTEMPTS: usize = 100;

/// Repeats an attempt until it wins its race; an attempt returns `None` when it lost.
pub fn retry_on_conflict<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(settled) = attempt()? {
            return Ok(settled);
        }
    }
    Err(AuthError::unavailable(1))
}
