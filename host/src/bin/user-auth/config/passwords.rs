//! `passwords`: the requirements for passwords, and how they are hashed. The component
//! validates the values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The requirements for passwords, and how they are hashed.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Passwords {
    /// Minimum number of characters in a new password.
    #[schemars(
        range(min = 8, max = 128),
        extend("x-env" = "USER_AUTH_PASSWORD_MIN_LENGTH")
    )]
    pub(crate) min_length: u32,
    /// Memory of a password hash in KiB. The minimum depends on the passes: 46 MiB for
    /// 1, 19 for 2, 12 for 3, 9 for 4, 7 for more.
    #[schemars(
        range(min = 7_168, max = 65_536),
        extend("x-env" = "USER_AUTH_ARGON2_MEMORY_KIB")
    )]
    pub(crate) argon2_memory_kib: u32,
    /// Passes of a password hash.
    #[schemars(
        range(min = 1, max = 10),
        extend("x-env" = "USER_AUTH_ARGON2_ITERATIONS")
    )]
    pub(crate) argon2_iterations: u32,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            min_length: 15,
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
        }
    }
}
