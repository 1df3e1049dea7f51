//! Who acts, and what they may do.
//!
//! The decision about a caller belongs here. The credentials that it looks at belong to
//! [`credentials`](super::credentials) and [`sessions`](super::sessions), the roles and
//! permissions to [`accounts`](super::accounts).

pub mod actor;
pub mod authority;
