//! `master_key`: the secret that all keys are derived from.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The secret that all keys are derived from. The key itself is in the environment
/// (`USER_AUTH_MASTER_KEY`) or in a file, never here.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MasterKey {
    /// The file with the master key, created at the first start; ignored if
    /// `USER_AUTH_MASTER_KEY` is set. Default: the systemd credential
    /// `user-auth-master-key`, or else `master.key` beside the database.
    #[schemars(extend("x-env" = "USER_AUTH_MASTER_KEY_FILE"))]
    pub(crate) file: Option<PathBuf>,
}
