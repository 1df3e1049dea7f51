//! Accounts: their user names, email addresses, roles and permissions.
//!
//! The proofs by which owners authenticate belong to [`credentials`](super::credentials).

pub mod account;
pub mod email;
pub mod permission;
pub mod role;
pub mod scopes;
pub mod username;
