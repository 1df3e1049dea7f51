//! Access control: authenticates actors, and decides what they may do.
//!
//! The decision about a caller belongs here. The credentials that it depends on belong to
//! [`credentials`](super::credentials) and [`sessions`](super::sessions), the roles and
//! permissions to [`accounts`](super::accounts).

pub mod actor;
pub mod agent;
pub mod authority;
pub mod toolset;
