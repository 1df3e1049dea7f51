//! The ports, as the component's imports, one file for each interface of `wit/`.
//!
//! What the component does itself where a host does not belongs to `builtin`.

mod client;
mod delivery;
mod documents;
mod keys;
mod output;
mod password_hash;
mod signing;
mod store;
mod telemetry;

use super::contract::imports::types;
use super::wasi::Wasi;
use crate::ports::{Ports, Unavailable};
use crate::settings::Settings;

/// The world outside the sandbox.
struct Host;

/// All ports, each an import.
pub fn all() -> Ports<'static> {
    Ports {
        store: &Host,
        password_hash: &Host,
        keys: &Host,
        signing: &Host,
        clock: &Wasi,
        random: &Wasi,
        telemetry: &Host,
        client: &Host,
        delivery: &Host,
        documents: &Host,
    }
}

/// Returns what is wrong with a setting that the host cannot serve: the contract requires
/// all of them of it.
pub fn unsupported(_: &Settings) -> Option<&'static str> {
    None
}

impl From<types::Unavailable> for Unavailable {
    fn from(unavailable: types::Unavailable) -> Unavailable {
        Unavailable {
            reason: unavailable.reason,
            retry_after_ms: unavailable.retry_after_ms,
        }
    }
}
