//! `component`: the component to run.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The component to run.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Component {
    /// The component file. Default: `user-auth.wasm` beside the program.
    #[schemars(extend("x-env" = "USER_AUTH_COMPONENT"))]
    pub(crate) file: Option<PathBuf>,
    /// Compile the component at every start instead of caching the compiled code.
    #[schemars(extend("x-env" = "USER_AUTH_NO_CACHE"))]
    pub(crate) no_cache: bool,
    /// Write the names of the component's functions to `/tmp/perf-PID.map`, for the
    /// profiler `perf`. Not on a machine with untrusted users: they could plant a link there.
    pub(crate) perf_map: bool,
}
