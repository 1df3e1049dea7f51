//! Service discovery: registers the server so that clients can find it. Nothing here looks for
//! other services.

mod consul;

pub use consul::{Consul, Service};
