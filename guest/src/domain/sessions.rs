//! Sessions: the challenge between the two steps of a login, the session that a login
//! begins, and the access, refresh and id tokens of a session.
//!
//! The decision about what a caller may do belongs to [`access`](super::access).

pub mod access_token;
pub mod auth_method;
pub mod bearer;
pub mod browser;
pub mod id_token;
pub mod jwks;
mod jwt;
pub mod login_challenge;
pub mod refresh;
pub mod refresh_token;
pub mod rotation;
pub mod session;
pub mod sign_in_request;
pub mod signing_key;
