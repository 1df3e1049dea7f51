//! The vocabulary that every other folder uses: ids, secrets, times, and the keyed hash
//! under which names are stored.
//!
//! A type belongs here if it needs nothing but the ports. What has a rule of
//! authentication belongs to [`domain`](crate::domain).

pub mod id;
pub mod mac;
pub mod moment;
pub mod secret;
pub mod time;
