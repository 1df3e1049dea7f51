//! The parts that all operations share: calling an operation, parsing its input, redacting
//! the input for the audit log, its schemas, the selection of the account that it is about,
//! the next step after an error, and what of all operations a caller gets to see.
//!
//! The operations themselves belong to [`operations`](crate::operations), and rules of
//! authentication to [`domain`](crate::domain).

pub mod call;
pub mod definition;
pub mod input;
mod lenient;
mod next_step;
pub mod offered;
pub mod operation;
pub mod redact;
pub mod schemas;
pub mod target;
