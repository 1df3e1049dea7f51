//! The log, where the host offers nothing of ours.

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

/// Lines of log, and numbers.
pub const LOG: &Log<'static> = &Log::new(&Wasi, STORE);

/// Writes to the log why something is unavailable, which callers are not told.
pub fn log_unavailable(unavailable: &Unavailable) {
    let fields = json::fields([("reason", unavailable.reason.as_str().into())]);
    LOG.log(Severity::Error, "something is unavailable", &fields);
}
