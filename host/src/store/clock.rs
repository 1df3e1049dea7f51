//! Expiry times of records. The clock can be replaced, so that no test has to sleep.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A function that returns the current time.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Returns the clock of the machine.
pub(super) fn system() -> Clock {
    Arc::new(SystemTime::now)
}

/// A point in time in milliseconds since 1970, which SQLite can store and index.
pub(super) type Millis = i64;

/// Returns the current time of `clock`.
pub(super) fn now_ms(clock: &Clock) -> Millis {
    // A clock before 1970 is not set; nothing expires until it is.
    let since_1970 = clock()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    millis(since_1970)
}

/// Returns the expiry time of a record written at `now_ms`. A lifetime too long to
/// count in milliseconds never ends.
pub(super) fn expires_at_ms(now_ms: Millis, ttl: Option<Duration>) -> Option<Millis> {
    now_ms.checked_add(millis(ttl?))
}

/// Returns whether a record that expires at `expires_at_ms` is live at `now_ms`.
pub(super) fn is_live(expires_at_ms: Option<Millis>, now_ms: Millis) -> bool {
    expires_at_ms.is_none_or(|at| at > now_ms)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
