//! Resource servers: the services that accept access tokens (RFC 6749 section 1.1), each
//! known by its URL, and the scopes that clients can ask for there.

pub mod resource;
pub mod resource_url;
pub mod scope;
