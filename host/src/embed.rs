//! The parts for a program that runs the component on its own engine: the bindings of
//! `wit/`, the state behind them, and the imports. Nothing here loads or calls a component;
//! [`plugin`](crate::plugin), which builds on this, does.

pub mod bindings;
pub mod client;
pub(crate) mod ctx;
pub(crate) mod host;
mod imports;
pub(crate) mod linker;
