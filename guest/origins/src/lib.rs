//! Which web pages may call, and what responses tell browsers.
//!
//! The bundled host applies these rules before it makes an instance of the component. The
//! builds for hosts of `wasi:http` apply them inside the component.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod allowed;
pub mod authority;
pub mod fields;
mod origin;

pub use allowed::{Allowed, InvalidOrigin};
pub use origin::Origin;
