//! What every operation shares: how it is called and its input is parsed, what of it may be logged, its
//! schemas, and the account that it is about.
//!
//! An operation itself belongs to [`operations`](crate::operations), a rule of
//! authentication to [`domain`](crate::domain).

pub mod audited;
pub mod call;
pub mod definition;
pub mod input;
pub mod operation;
pub mod redact;
pub mod schemas;
pub mod target;
