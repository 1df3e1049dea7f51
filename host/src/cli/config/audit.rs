//! `audit`: where audit lines go, besides the store.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where audit lines go, besides the store.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Audit {
    /// A file that a line of JSON is appended to for each operation; `-` is
    /// standard error. Left out: there is no such log.
    pub(in crate::cli) file: Option<PathBuf>,
}
