//! Accounts: what they are called, where their messages go, and which roles and
//! permissions they have.
//!
//! What an owner proves to use an account belongs to [`credentials`](super::credentials).

pub mod account;
pub mod email;
pub mod permission;
pub mod role;
pub mod username;
