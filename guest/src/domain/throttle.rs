//! The throttle of guesses.
//!
//! Attempts are counted for each pair of user name and source, so that an
//! attacker elsewhere cannot lock a user out, and failures for each source over
//! all user names, against one password tried on many. Names that nobody has are
//! counted like all others.
//!
//! An attempt is counted before the password is looked at: whoever hangs up, or
//! makes many at once, has still made them.

use hmac::Mac;

use super::context::Context;
use super::mac;
use super::records::Batch;
use super::username::Username;
use crate::error::{AuthError, Result};
use crate::ports::{Entry, Expect};

/// Attempts on one user name from one source within the window.
pub const MAX_ATTEMPTS_PER_USERNAME: i64 = 10;
/// Failures of one source, whatever the user name, within the window.
pub const MAX_FAILURES_PER_SOURCE: i64 = 100;
/// How long they count, from the first.
pub const WINDOW_SECONDS: u64 = 15 * 60;

/// Codes that are sent for one account, or to one address, within an hour.
pub const MAX_CODES: i64 = 3;
/// The hour.
pub const CODES_WINDOW_SECONDS: u64 = 60 * 60;

/// One attempt on a user name, counted.
pub struct Attempt {
    key: String,
}

impl Attempt {
    /// Counts it.
    ///
    /// Fails with -32003 when it is one too many.
    pub fn begin(username: &Username, context: &Context) -> Result<Attempt> {
        check_source(context)?;
        let source = context.caller.source.as_str();
        let key = key(&[username.as_str(), source], context)?;
        let attempts = context.ports.store.add(&key, 1, window())?;
        if attempts > MAX_ATTEMPTS_PER_USERNAME {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        Ok(Attempt { key })
    }

    /// Forgets all attempts on the user name, in the batch of one that went well.
    pub fn succeed(&self, batch: &mut Batch) {
        batch.delete(self.key.clone(), Expect::Any);
    }
}

/// Forgets the caller's attempts on a user name, in the batch of what makes them
/// worthless. Those from elsewhere are counted under keys that only their sources
/// tell, and end by themselves.
pub fn forget(username: &Username, context: &Context, batch: &mut Batch) -> Result<()> {
    let source = context.caller.source.as_str();
    batch.delete(key(&[username.as_str(), source], context)?, Expect::Any);
    Ok(())
}

/// Counts a request to reset the password of whoever has this name or address,
/// for the pair of name and source and for the source.
///
/// Fails with -32003 when it is one too many.
pub fn count_reset(name: &str, context: &Context) -> Result<()> {
    check_source(context)?;
    let source = context.caller.source.as_str();
    let key = key(&["reset", name, source], context)?;
    if context.ports.store.add(&key, 1, window())? > MAX_ATTEMPTS_PER_USERNAME {
        return Err(AuthError::too_many(WINDOW_SECONDS));
    }
    count_failure(context)
}

/// Counts a code for what `parts` name; false: it is one too many, and must not
/// be sent. A mailbox is not to be filled by whoever knows its address.
pub fn may_send_code(parts: &[&str], context: &Context) -> Result<bool> {
    let key = key(parts, context)?;
    let hour = Some(CODES_WINDOW_SECONDS * 1000);
    Ok(context.ports.store.add(&key, 1, hour)? <= MAX_CODES)
}

/// Fails with -32003 when there were too many failures from the caller's source.
pub fn check_source(context: &Context) -> Result<()> {
    let key = source_key(context)?;
    let counter = context.ports.store.get(&[key])?.pop().flatten();
    if count(counter.as_ref()) >= MAX_FAILURES_PER_SOURCE {
        return Err(AuthError::too_many(WINDOW_SECONDS));
    }
    Ok(())
}

/// Counts a failure of the caller's source.
///
/// Fails with -32003 when it was one too many: then the caller does not even
/// learn that it was one.
pub fn count_failure(context: &Context) -> Result<()> {
    let key = source_key(context)?;
    if context.ports.store.add(&key, 1, window())? > MAX_FAILURES_PER_SOURCE {
        return Err(AuthError::too_many(WINDOW_SECONDS));
    }
    Ok(())
}

/// The store need not tell which names were tried, or from where.
pub fn pseudonym(parts: &[&str], context: &Context) -> Result<[u8; 16]> {
    let mut mac = mac::keyed("pseudonym", &context.ports)?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let mut pseudonym = [0; 16];
    pseudonym.copy_from_slice(&mac[..16]);
    Ok(pseudonym)
}

fn source_key(context: &Context) -> Result<String> {
    key(&[context.caller.source.as_str()], context)
}

fn key(parts: &[&str], context: &Context) -> Result<String> {
    Ok(format!(
        "throttle/{}",
        mac::to_hex(&pseudonym(parts, context)?)
    ))
}

fn window() -> Option<u64> {
    Some(WINDOW_SECONDS * 1000)
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
