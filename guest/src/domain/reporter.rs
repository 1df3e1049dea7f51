//! Reports to the client while its operation runs.

use serde_json::Value;

use crate::ports::LogLevel;

/// Reports to a client that waits for an operation. Each transport decides whether and how
/// a report reaches the client; no rule depends on it.
pub trait Reporter {
    /// Reports that `done` of `total` steps are done, and what comes next.
    fn progress(&self, done: u32, total: u32, next: &str);

    /// Reports an event that the client may log.
    fn log(&self, level: LogLevel, data: Value);
}

/// The reporter of transports that cannot reach a client while it waits.
pub struct Silent;

impl Reporter for Silent {
    fn progress(&self, _: u32, _: u32, _: &str) {}

    fn log(&self, _: LogLevel, _: Value) {}
}
