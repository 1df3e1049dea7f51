//! Delegations: what a user lets a client do at a resource server, and know of the user. A
//! delegation begins with an authorization code, and is a session of its own from then on.

pub mod approval;
pub mod authorization_code;
pub mod client_token;
pub mod code_challenge;
pub mod delegation;
pub mod grant;
pub mod identity_scope;
pub mod token_scope;
