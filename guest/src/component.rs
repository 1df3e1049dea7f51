//! Connects the component to its contract: the imports of `wit/` implement the ports,
//! and the exports of `wit/` call the operations and MCP.
//!
//! The features of the build select them: imports or built-in implementations, the
//! interfaces of `wit/` or HTTP. No rule of the service belongs here.

#[cfg(any(test, feature = "ports-builtin"))]
pub mod builtin;
#[cfg(all(target_family = "wasm", not(feature = "export-http")))]
mod contract;
#[cfg(target_family = "wasm")]
mod exports;
#[cfg(all(target_family = "wasm", not(feature = "ports-builtin")))]
mod host;
#[cfg(target_family = "wasm")]
mod select;
#[cfg(all(target_family = "wasm", feature = "ports-builtin"))]
mod standalone;
#[cfg(all(target_family = "wasm", feature = "ports-builtin"))]
mod standalone_log;
#[cfg(target_family = "wasm")]
mod wasi;
#[cfg(all(target_family = "wasm", feature = "store-keyvalue"))]
mod wasi_keyvalue;
