//! Clients: the programs that people let act for them (RFC 6749 section 2).

pub mod client;
pub mod client_id;
pub mod client_name;
pub mod client_secret;
pub mod redirect_uri;
