//! `component`: the component to run.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The component to run.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Component {
    /// The component file. Default: `user-auth.wasm` beside the program.
    #[schemars(extend("x-env" = "USER_AUTH_COMPONENT"))]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Compile the component at every start instead of caching the compiled code.
    #[schemars(extend("x-env" = "USER_AUTH_NO_CACHE"))]
    pub(in crate::cli) no_cache: bool,
}
