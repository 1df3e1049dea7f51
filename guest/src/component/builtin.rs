//! Ports implemented inside the component, for hosts that offer none of UserAuth's own
//! imports.
//!
//! Doing without the host has a price: a password hash takes two to three times as
//! long, the master key is in the sandbox, and nothing outside collects metrics or
//! delivers messages.

mod hash;
mod keys;
mod log;
mod signing;
mod store;

pub use hash::Hash;
pub use keys::{MasterKey, VARIABLE as MASTER_KEY, hmac_sha256};
pub use log::Log;
pub use signing::Signatures;
pub use store::{Bucket, KeyvalueStore, MemoryStore, NoStore, SINGLE_WRITER};

use crate::ports::{
    Algorithm, Client, Delivery, Document, Documents, FetchError, Function, KeyName, LogLevel,
    Message, PasswordHash, PublicKey, Signing, Unavailable,
};

/// Null object for the ports without an implementation in this build: clients that
/// listen while they wait, the delivery of messages to the owners of accounts, documents on
/// the web and, if
/// no state is kept, password hashes and signatures that others can verify.
pub struct Unsupported;

impl Client for Unsupported {
    fn notify(&self, _: &str) {}

    fn started(&self, _: &str) {}

    fn cancel(&self, _: &str) {}

    fn log_level(&self) -> Option<LogLevel> {
        None
    }

    fn set_log_level(&self, _: LogLevel) {}
}

impl Delivery for Unsupported {
    fn deliver(&self, _: &Message) -> Result<(), Unavailable> {
        Err(Unavailable::for_good("this build delivers no messages"))
    }
}

impl Documents for Unsupported {
    fn is_there(&self) -> bool {
        false
    }

    fn get(&self, _: &str, _: u32) -> Result<Document, FetchError> {
        let unavailable = Unavailable::for_good("this build fetches no documents");
        Err(FetchError::Unavailable(unavailable))
    }
}

impl PasswordHash for Unsupported {
    fn hash(&self, _: Function, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Err(Unavailable::for_good("this build hashes no passwords"))
    }
}

impl Signing for Unsupported {
    fn public_keys(&self, _: &[KeyName]) -> Result<Vec<PublicKey>, Unavailable> {
        Err(unsigned())
    }

    fn sign(&self, _: &KeyName, _: &[u8]) -> Result<Vec<u8>, Unavailable> {
        Err(unsigned())
    }

    fn verify(&self, _: Algorithm, _: &str, _: &[u8], _: &[u8]) -> Result<bool, Unavailable> {
        Err(unsigned())
    }
}

fn unsigned() -> Unavailable {
    Unavailable::for_good("this build signs no tokens for other services")
}
