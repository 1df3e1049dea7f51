//! `throttling`: how many guesses there are. The component has the last word on
//! these, and counts them whatever is set here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many guesses at passwords and codes there are. They are always counted:
/// what can be set is how soon there are too many.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Throttling {
    /// Attempts on one name from one source within the window.
    #[schemars(range(min = 3, max = 100))]
    pub(in crate::cli) attempts_per_source: u32,
    /// Failures of one source within the window, whatever the name.
    #[schemars(range(min = 10, max = 100_000))]
    pub(in crate::cli) failures_per_source: u32,
    /// Accounts that one source may register within the window. Who runs the program
    /// may register any number.
    #[schemars(range(min = 1, max = 100_000))]
    pub(in crate::cli) registrations_per_source: u32,
    /// How long these count from the first, in seconds.
    #[schemars(range(min = 60, max = 86_400))]
    pub(in crate::cli) window_seconds: u32,
    /// Attempts on one name without a success, of all sources together that never
    /// had one.
    #[schemars(range(min = 10, max = 100))]
    pub(in crate::cli) consecutive_attempts: u32,
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
