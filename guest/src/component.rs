//! Connects the component to its contract: the imports of `wit/` implement the ports,
//! and the exports of `wit/` call the operations and MCP.
//!
//! The features of the build select them: imports or built-in implementations, the
//! interfaces of `wit/` or HTTP. No rule of the service belongs here.

#[cfg(any(test, feature = "inside"))]
pub mod builtin;
#[cfg(all(target_family = "wasm", not(feature = "edge")))]
mod contract;
#[cfg(target_family = "wasm")]
mod exports;
#[cfg(all(target_family = "wasm", not(feature = "inside")))]
mod host;
#[cfg(target_family = "wasm")]
mod select;
#[cfg(all(target_family = "wasm", feature = "inside"))]
mod standalone;
#[cfg(all(target_family = "wasm", feature = "inside"))]
mod standalone_log;
#[cfg(target_family = "wasm")]
mod wasi;
#[cfg(all(target_family = "wasm", feature = "keyvalue"))]
mod wasi_keyvalue;
