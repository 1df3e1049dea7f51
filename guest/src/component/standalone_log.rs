//! The log in builds for hosts that offer none of UserAuth's own imports.

use super::builtin::Log;
use super::wasi::Wasi;
use crate::json;
use crate::ports::{Severity, Telemetry, Unavailable};

const STORE: &str = match (
    cfg!(feature = "store-keyvalue"),
    cfg!(feature = "store-memory"),
) {
    (true, _) => "keyvalue",
    (false, true) => "memory",
    (false, false) => "none",
};

/// Log lines and metrics.
pub const LOG: &Log<'static> = &Log::new(&Wasi, STORE);

/// Logs why something is unavailable. Callers do not learn the reason.
pub fn log_unavailable(unavailable: &Unavailable) {
    let fields = json::fields([("reason", unavailable.reason.as_str().into())]);
    LOG.log(Severity::Error, "something is unavailable", &fields);
}
