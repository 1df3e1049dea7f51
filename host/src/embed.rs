//! What a program needs that runs the component on its own engine: the bindings of `wit/`,
//! the state behind them, and the imports. Nothing here loads or calls a component; that
//! is [`plugin`](crate::plugin), which stands on this.

pub mod bindings;
pub mod client;
pub(crate) mod ctx;
pub(crate) mod host;
mod imports;
pub(crate) mod linker;
