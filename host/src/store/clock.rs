//! When records expire. The clock can be replaced, so that no test has to sleep.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Tells the time.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The clock of the machine.
pub(super) fn system() -> Clock {
    Arc::new(SystemTime::now)
}

/// A point in time, in milliseconds since 1970: what SQLite can store and index.
pub(super) type Millis = i64;

/// What `clock` shows.
pub(super) fn now_ms(clock: &Clock) -> Millis {
    // A clock before 1970 is not set; then nothing expires until it is.
    let since_1970 = clock()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    millis(since_1970)
}

/// When a record that is written at `now_ms` expires. A life longer than there
/// are milliseconds to count is one for good.
pub(super) fn expires_at_ms(now_ms: Millis, ttl: Option<Duration>) -> Option<Millis> {
    now_ms.checked_add(millis(ttl?))
}

/// Whether a record that lives until `expires_at_ms` is there at `now_ms`.
pub(super) fn is_live(expires_at_ms: Option<Millis>, now_ms: Millis) -> bool {
    expires_at_ms.is_none_or(|at| at > now_ms)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
