//! How records are read from the store, and changes committed to it: typed records,
//! batches that are committed whole, and the retry after a conflict.
//!
//! What is in a record belongs to [`domain`](crate::domain); the store itself is a port.

pub mod batch;
pub mod ground;
pub mod record;
pub mod retry;
