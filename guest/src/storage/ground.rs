//! The records that authority depends on: accounts, sessions, API keys and roles.
//!
//! Each has a marker key, under which nothing is stored while the authority is unchanged.
//! A change that takes authority away writes a marker there, in its own batch and for
//! longer than any call lasts. The batches of an actor are committed only if there are no
//! markers for the records that its authority was found to depend on. So the store orders
//! a change that stops an actor before or after any concurrent batch of that actor, and
//! once the change has been answered, nothing of the actor's is committed.
//!
//! An actor does not write its own markers, so its calls interfere neither with each other
//! nor with a change that stops it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::json;
use crate::types::id::Id;

/// The lifetime of a marker: longer than any call that began before it.
pub const MARK_TTL_MS: u64 = 60 * 60 * 1000;
/// The lifetime of a marker of a change that has yet to be made.
pub const ANNOUNCED_TTL_MS: u64 = 5 * 1000;
/// The prefixes of the records that no batch may change without writing their markers.
const PREFIXES: [&str; 4] = ["account/", "session/", "api-key/", "role/"];

/// A record that authority depends on.
pub trait AuthoritySource: Serialize {
    /// Returns the store key of the record.
    fn record_key(&self) -> String;

    /// Returns the part of the record that authority depends on, as text without spaces:
    /// while it is unchanged, so is the marker key.
    fn basis(&self) -> String;

    /// Returns the marker key of the record.
    fn mark(&self) -> String {
        mark(&self.record_key(), &self.basis())
    }
}

/// Returns the marker key of a record with this basis.
pub fn mark(record_key: &str, basis: &str) -> String {
    format!("superseded/{record_key}/{basis}")
}

/// Reports whether authority depends on the record with this key.
pub fn is_authority_source(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Condenses several fields into a basis, which is the same for the same values.
pub fn digest<T: Serialize>(values: &T) -> String {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(json::to_vec(values))[..16]);
    Id::from_bytes(digest).to_string()
}
