//! The UserAuth component: it decides who may log in, what a token says, and what an
//! MCP message means. It performs no I/O of its own. Everything that it needs comes in
//! through the traits in [`ports`], so that every rule also runs natively, in
//! milliseconds, against ports in memory.
//!
//! Continue with [`operations`], where each operation is one file, and with [`mcp`],
//! which turns a message into an operation and its result into a message.

#![deny(missing_docs)]
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

pub mod domain;
pub mod error;
pub mod forward_auth;
#[cfg(any(test, feature = "edge"))]
pub mod http;
#[cfg(any(test, feature = "inside"))]
pub mod inside;
mod json;
pub mod mcp;
pub mod operations;
mod packed;
pub mod ports;
mod printable;
pub mod settings;
mod unicode;

#[cfg(target_family = "wasm")]
mod component;
#[cfg(all(test, not(feature = "testing")))]
mod testing;
#[cfg(feature = "testing")]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod testing;
#[cfg(test)]
mod tests;
