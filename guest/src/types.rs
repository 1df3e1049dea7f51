//! The vocabulary that every other folder uses: ids, secrets, times, and the keyed hash
//! under which names are stored.
//!
//! A type belongs here if it depends only on the ports. Types that contain a rule of
//! authentication belong to [`domain`](crate::domain).

pub mod http_uri;
pub mod id;
pub mod mac;
pub mod moment;
pub mod record_secret;
pub mod secret;
pub mod time;
