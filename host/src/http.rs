//! MCP's Streamable HTTP, and the endpoints for operators and reverse proxies:
//!
//! - `POST /mcp`: one message in, its response out.
//! - `GET /mcp/server-card`: what a client can learn before it connects.
//! - `GET /health`: the process is alive. `GET /ready`: it can serve requests.
//! - `GET /metrics`: metrics for Prometheus.
//! - `/verify`: verifies requests for reverse proxies that protect other pages.
//!
//! A [`Policy`] holds the rules for callers. The component decides the meaning of messages
//! and tokens.

mod admission;
mod app;
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
