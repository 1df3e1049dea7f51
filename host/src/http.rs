//! HTTP: the routes of the component, among them MCP's Streamable HTTP, and those that the
//! host answers by itself:
//!
//! - `GET /health`: the process is alive. `GET /ready`: it can serve requests.
//! - `GET /metrics`: metrics for Prometheus.
//! - `GET /logo`: the logo on the pages, if there is one.
//!
//! A [`Policy`] holds the rules for callers. The component decides what each other path
//! answers.

mod admission;
mod app;
mod body;
mod connection;
mod counters;
mod fields;
mod lingering_close;
mod policy;
mod respond;
mod router;
mod routes;
mod security;
mod server;

pub use ipnet::IpNet;

pub use self::policy::{KeyHeader, Policy, PolicyError, Rate, Rates};
pub use self::security::client_ip::{ForwardedHeader, TrustedProxies};
pub use self::security::origin_check::{HostPolicy, HostPolicyError};
pub use self::security::tls::{Listener, Tls, TlsError};
pub use self::server::serve;
