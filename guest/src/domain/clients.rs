//! Clients: the programs that ask for access in the name of a user (RFC 6749 section 1.1).

pub mod client;
pub mod client_id;
pub mod document_url;
pub mod dynamic_registration;
pub mod issued_secret;
pub mod key_set;
pub mod metadata_document;
pub mod places;
pub mod redirect_uri;
