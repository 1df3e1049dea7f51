//! The endpoints, one file for each, and what only they need. The checks before every
//! endpoint are in [`admission`](super::admission) and [`security`](super::security).

pub(crate) mod component;
pub(crate) mod health;
pub(crate) mod logo;
pub(crate) mod metrics;
mod sse;
pub(crate) mod table;
