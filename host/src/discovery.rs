//! Making the server known to those who look for it.

mod consul;

pub use consul::{Consul, Service};
