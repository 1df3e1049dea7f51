//! Reads records from the store and commits changes to it: typed records, batches that are
//! committed atomically, and the retry after a conflict.
//!
//! The contents of records belong to [`domain`](crate::domain); the store itself is a port.

pub mod batch;
pub mod ground;
pub mod record;
pub mod retry;
