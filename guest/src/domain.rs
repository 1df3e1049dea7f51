//! The rules of authentication. Nothing here depends on MCP, WIT or a particular database.
//!
//! A rule that more than one operation follows belongs here; a rule of only one operation
//! is in its file in [`operations`](crate::operations).

pub mod access;
pub mod accounts;
pub mod actor_id;
pub mod audit;
pub mod context;
pub mod credentials;
pub mod notify;
pub mod sessions;
pub mod throttle;
pub mod trail;
