//! The UserAuth component: the rules of authentication, the operations built on them, and
//! their interface for MCP. The component does no I/O of its own: it reaches everything
//! that it needs through the traits in [`ports`], so that every rule also runs natively, in
//! milliseconds, against ports in memory.
//!
//! Read on in [`operations`], where each operation is one file, and in [`mcp`], which turns
//! messages into operations and their results into messages.

#![deny(missing_docs)]
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod assets;
#[cfg(any(target_family = "wasm", test, feature = "ports-builtin"))]
pub mod component;
mod dispatch;
pub mod domain;
pub mod error;
pub mod forward_auth;
pub mod http;
mod json;
pub mod mcp;
pub mod oauth;
pub mod operations;
pub mod ports;
pub mod settings;
pub mod storage;
pub mod types;
mod unicode;
pub mod web;

#[cfg(all(test, not(feature = "testing")))]
mod testing;
#[cfg(feature = "testing")]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod testing;
#[cfg(test)]
#[allow(missing_docs)]
mod tests;
