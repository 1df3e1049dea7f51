//! Implementations of the component's imports, one file per interface. Their foundations,
//! such as stores, the queue of messages and the threads for hashes, have their own folders.
//!
//! Each call counts against [`Limits::host_calls_per_call`](crate::Limits); a component
//! that exceeds it is trapped.

mod client;
mod delivery;
mod documents;
mod keys;
mod password_hash;
mod signing;
mod store;
mod telemetry;
pub(crate) mod wasi;

use crate::embed::bindings::user_auth::plugin::types;

/// The interface `types` has no functions.
impl types::Host for crate::embed::ctx::UserAuthCtx {}
