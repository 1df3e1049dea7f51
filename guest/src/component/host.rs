//! The ports, as the component's imports, one file for each interface of `wit/`.
//!
//! What the component does itself where a host does not belongs to `builtin`.

mod client;
mod delivery;
mod keys;
mod password_hash;
mod store;
mod telemetry;

use super::contract::imports::types;
use super::wasi::Wasi;
use crate::ports::{Ports, Unavailable};

/// The world outside the sandbox.
struct Host;

/// All ports, each an import.
pub fn all() -> Ports<'static> {
    Ports {
        store: &Host,
        password_hash: &Host,
        keys: &Host,
        clock: &Wasi,
        random: &Wasi,
        telemetry: &Host,
        client: &Host,
        delivery: &Host,
    }
}

impl From<types::Unavailable> for Unavailable {
    fn from(unavailable: types::Unavailable) -> Unavailable {
        Unavailable {
            reason: unavailable.reason,
            retry_after_ms: unavailable.retry_after_ms,
        }
    }
}
