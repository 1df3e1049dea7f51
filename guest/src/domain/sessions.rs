//! Sessions: how a login goes on to its second step, what a login begins, and the access
//! and refresh tokens that stand for a session.
//!
//! What the caller of an operation may do belongs to [`access`](super::access).

pub mod access_token;
pub mod auth_method;
pub mod bearer;
pub mod login_challenge;
pub mod refresh_token;
pub mod session;
pub mod signing_key;
