//! The endpoints, one file for each, and what only they need. The checks before every
//! endpoint are in [`admission`](super::admission) and [`security`](super::security).

pub(crate) mod health;
pub(crate) mod mcp;
pub(crate) mod metrics;
pub(crate) mod server_card;
mod sse;
pub(crate) mod verify;
