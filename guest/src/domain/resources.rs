//! Resource servers: the services that accept tokens of this one, and the scopes that they
//! know (RFC 6749 section 1.1, RFC 8707).

pub mod resource;
pub mod resource_url;
