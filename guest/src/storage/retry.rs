//! The retry of what lost a race.

use crate::error::{AuthError, Result};

/// Each lost race means that another change went through, so that this is the
/// number of changes that may overtake one operation on one account.
const MAX_ATTEMPTS: usize = 100;

/// Tries until an attempt is not overtaken: `None` says that it lost a race.
pub fn retry_on_conflict<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(settled) = attempt()? {
            return Ok(settled);
        }
    }
    Err(AuthError::unavailable(1))
}
