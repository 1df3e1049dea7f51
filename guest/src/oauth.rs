//! The OAuth 2.1 authorization server, as clients speak to it: authorization requests, the
//! token endpoint, who the user is, the registration of clients and the metadata. It is a door onto the
//! domain like MCP; the pages are in [`web`](crate::web).

pub mod authorization_request;
pub mod bearer_token;
pub mod client_assertion;
pub mod client_authentication;
pub mod client_configuration;
pub mod client_keys;
pub mod client_metadata;
pub mod error;
pub mod metadata;
pub mod metadata_document;
pub mod parameters;
pub mod registration;
pub mod token;
pub mod token_management;
pub mod userinfo;
