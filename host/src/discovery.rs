//! Service discovery: registers the server so that clients can find it.

mod consul;

pub use consul::{Consul, Service};
