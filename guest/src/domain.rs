//! The rules of authentication. Nothing here depends on MCP, WIT or a particular database.
//!
//! A rule that more than one operation follows belongs here; a rule of only one operation
//! is in its file in [`operations`](crate::operations).

pub mod access;
pub mod accounts;
pub mod actor_id;
pub mod audit;
pub mod call;
pub mod call_recorder;
pub mod caller;
pub mod clients;
pub mod credentials;
pub mod delegations;
pub mod display_text;
pub mod env;
pub mod notify;
pub mod reporter;
pub mod resources;
pub mod sessions;
pub mod throttle;
