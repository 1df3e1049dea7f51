//! The records that power rests on: accounts, sessions, API keys and roles.
//!
//! Each has a mark: a key under which nothing is stored for as long as the power is what
//! it was. A change that takes some of it stores something there, in its own batch and
//! for longer than any call lasts. What an actor does is committed only if nothing is
//! stored under the marks of what its power was found to rest on. So of a change that
//! stops an actor and what that actor does at the same time, the store puts one before
//! the other, and after the answer of the stop nothing of the actor's is committed.
//!
//! An actor writes no mark of its own, and so its calls get in the way neither of each
//! other nor of what stops it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::types::id::Id;

/// How long a mark is kept: longer than any call lasts that began before.
pub const MARK_TTL_MS: u64 = 60 * 60 * 1000;
/// How long one is kept of a change that is yet to be made.
pub const ANNOUNCED_TTL_MS: u64 = 5 * 1000;
/// The records that no batch changes without their marks.
const PREFIXES: [&str; 4] = ["account/", "session/", "api-key/", "role/"];

/// A record that power rests on.
pub trait Ground: Serialize {
    /// Store key of the record.
    fn record_key(&self) -> String;

    /// What in it the power depends on, as text without blanks: as long as that stays,
    /// so does the mark.
    fn basis(&self) -> String;

    /// Store key of its mark.
    fn mark(&self) -> String {
        mark(&self.record_key(), &self.basis())
    }
}

/// Store key of the mark of a record with this basis.
pub fn mark(record_key: &str, basis: &str) -> String {
    format!("superseded/{record_key}/{basis}")
}

/// Whether power rests on what is stored under this key.
pub fn is_ground(key: &str) -> bool {
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// The same for the same values: a basis of several fields.
pub fn digest<T: Serialize>(values: &T) -> String {
    // Only a map with keys that are no strings fails here.
    let bytes = serde_json::to_vec(values).unwrap_or_default();
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    Id::from_bytes(digest).to_string()
}
