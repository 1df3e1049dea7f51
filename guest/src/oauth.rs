//! The OAuth 2.1 authorization server, as clients speak to it: authorization requests, the
//! token endpoint and the metadata. It is a door onto the domain like MCP; the pages are in
//! [`web`](crate::web).

pub mod authorization_request;
pub mod client_authentication;
pub mod error;
pub mod metadata;
pub mod parameters;
pub mod token;
