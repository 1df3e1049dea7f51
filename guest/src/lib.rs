//! The UserAuth component: who may log in, what a token says, and what an MCP
//! message means. It does no I/O of its own: everything it needs comes in
//! through the traits in [`ports`], so that every rule also runs natively, in
//! milliseconds, against ports in memory.
//!
//! Read on in [`operations`], where each operation is one file, and in
//! [`mcp`], where a message becomes an operation and its result a message.

#![deny(missing_docs)]
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod assets;
#[cfg(any(target_family = "wasm", test, feature = "inside"))]
pub mod component;
mod dispatch;
pub mod domain;
pub mod error;
pub mod forward_auth;
#[cfg(any(test, feature = "edge"))]
pub mod http;
mod json;
pub mod mcp;
pub mod operations;
pub mod ports;
pub mod settings;
pub mod storage;
pub mod types;
mod unicode;

#[cfg(all(test, not(feature = "testing")))]
mod testing;
#[cfg(feature = "testing")]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod testing;
#[cfg(test)]
mod tests;
