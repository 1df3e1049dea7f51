//! The throttle of failed logins.
//!
//! Failures are counted for each pair of user name and source, so that an
//! attacker elsewhere cannot lock a user out, and for each source over all user
//! names, against one password tried on many. Names that nobody has are counted
//! like all others.

use hmac::Mac;

use super::context::Context;
use super::mac;
use super::records::Batch;
use super::username::Username;
use crate::error::{AuthError, Result};
use crate::ports::{Entry, Expect};

/// Failures of one user name from one source within the window.
pub const MAX_FAILURES_PER_USERNAME: i64 = 10;
/// Failures of one source, whatever the user name, within the window.
pub const MAX_FAILURES_PER_SOURCE: i64 = 100;
/// How long failures count, from the first.
pub const WINDOW_SECONDS: u64 = 15 * 60;

/// The counters of one attempt to log in, as they were read.
pub struct Throttle {
    username_key: String,
    source_key: String,
    username_counter: Option<Entry>,
}

impl Throttle {
    /// Reads the counters.
    ///
    /// Fails with -32003 when there were too many failures already.
    pub fn check(username: &Username, context: &Context) -> Result<Throttle> {
        let source = context.caller.source.as_str();
        let username_key = format!(
            "throttle/{}",
            pseudonym(&[username.as_str(), source], context)?
        );
        let source_key = format!("throttle/{}", pseudonym(&[source], context)?);
        let keys = [username_key.clone(), source_key.clone()];
        let mut counters = context.ports.store.get(&keys)?;
        let source_counter = counters.pop().flatten();
        let username_counter = counters.pop().flatten();
        if count(username_counter.as_ref()) >= MAX_FAILURES_PER_USERNAME
            || count(source_counter.as_ref()) >= MAX_FAILURES_PER_SOURCE
        {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        Ok(Throttle {
            username_key,
            source_key,
            username_counter,
        })
    }

    /// Counts a failure.
    ///
    /// Fails with -32003 when it was one too many: then the caller does not even
    /// learn that the password was wrong, and parallel guesses get no further
    /// than guesses one by one.
    pub fn count_failure(&self, context: &Context) -> Result<()> {
        let store = context.ports.store;
        let ttl_ms = Some(WINDOW_SECONDS * 1000);
        store.add(&self.source_key, 1, ttl_ms)?;
        let failures = store.add(&self.username_key, 1, ttl_ms)?;
        if failures > MAX_FAILURES_PER_USERNAME {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        Ok(())
    }

    /// Resets the counter of the user name in the batch of a login that went
    /// well, on condition that nobody has failed since it was read.
    pub fn reset(&self, batch: &mut Batch) {
        let expect = match &self.username_counter {
            None => Expect::Absent,
            Some(entry) => Expect::At(entry.version.clone()),
        };
        batch.delete(self.username_key.clone(), expect);
    }
}

/// The store need not tell which names were tried, or from where.
pub fn pseudonym(parts: &[&str], context: &Context) -> Result<String> {
    let mut mac = mac::keyed("pseudonym", &context.ports)?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let mac = mac.finalize().into_bytes();
    Ok(mac::to_hex(&mac[..16]))
}

fn count(counter: Option<&Entry>) -> i64 {
    // A counter that cannot be read is a full one: fail closed.
    counter.map_or(0, |entry| {
        std::str::from_utf8(&entry.value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(i64::MAX)
    })
}
