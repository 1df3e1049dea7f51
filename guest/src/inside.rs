//! The ports, inside the component: for hosts that offer nothing of ours.
//!
//! What that costs is what a host is there for. A password hash takes two to three
//! times as long, the master key is in the sandbox, and nobody outside counts or
//! delivers anything.

mod hash;
mod keys;
mod store;
mod telemetry;

pub use hash::Hash;
pub use keys::{MasterKey, VARIABLE as MASTER_KEY};
pub use store::{Bucket, KeyvalueStore, MemoryStore, NoStore, SINGLE_WRITER};
pub use telemetry::Log;

use crate::ports::{Client, Delivery, LogLevel, Message, Unavailable};

/// What nobody is there for: clients that listen while they wait, and the delivery of
/// messages to the owners of accounts.
pub struct Nobody;

impl Client for Nobody {
    fn notify(&self, _: &str) {}

    fn started(&self, _: &str) {}

    fn cancel(&self, _: &str) {}

    fn log_level(&self) -> Option<LogLevel> {
        None
    }

    fn set_log_level(&self, _: LogLevel) {}
}

impl Delivery for Nobody {
    fn deliver(&self, _: &Message) -> Result<(), Unavailable> {
        Err(Unavailable::for_good("this build delivers no messages"))
    }
}
