//! `throttling`: the number of guesses. The component validates the values, and always
//! counts guesses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of guesses at passwords and codes. They are always counted: only the
/// limits can be set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Throttling {
    /// Attempts on one name from one source within the window.
    #[schemars(range(min = 3, max = 100))]
    pub(crate) attempts_per_source: u32,
    /// Failures of one source within the window, whatever the name.
    #[schemars(range(min = 10, max = 100_000))]
    pub(crate) failures_per_source: u32,
    /// Accounts that one source may register within the window. The operator may
    /// register any number.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) registrations_per_source: u32,
    /// Length of the window in seconds, from the first attempt.
    #[schemars(range(min = 60, max = 86_400))]
    pub(crate) window_seconds: u32,
    /// Attempts on one name without a success, from all sources together that have
    /// never had one.
    #[schemars(range(min = 10, max = 100))]
    pub(crate) consecutive_attempts: u32,
}

impl Default for Throttling {
    fn default() -> Self {
        Self {
            attempts_per_source: 10,
            failures_per_source: 100,
            registrations_per_source: 100,
            window_seconds: 900,
            consecutive_attempts: 100,
        }
    }
}
