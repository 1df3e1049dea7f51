//! Which requests get resources, and how much of them: connections, memory for bodies, turns
//! at the processor, and requests in a time. [`security`](super::security) checks the contents
//! of requests.

pub(crate) mod bodies;
pub(crate) mod call_queue;
pub(crate) mod connection_limit;
pub(crate) mod rate_limit;
pub(crate) mod shares;
pub(crate) mod write_timeout;
