//! The parts that all operations share: calling an operation, parsing its input, redacting
//! the input for the audit log, its schemas, the selection of the account that it is about,
//! and the next step after an error.
//!
//! The operations themselves belong to [`operations`](crate::operations), and rules of
//! authentication to [`domain`](crate::domain).

pub mod audited;
pub mod call;
pub mod definition;
pub mod input;
mod lenient;
mod next_step;
pub mod operation;
pub mod redact;
pub mod schemas;
pub mod target;
