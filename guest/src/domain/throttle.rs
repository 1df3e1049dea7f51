//! The throttle of guesses.
//!
//! Attempts are counted for each pair of user name and source, so that an
//! attacker elsewhere cannot lock a user out, and failures for each source over
//! all user names, against one password tried on many. Names that nobody has are
//! counted like all others.
//!
//! An attempt is counted before the password is looked at: whoever hangs up, or
//! makes many at once, has still made them.
//!
//! Codes of a second factor have counters of their own, which a right password
//! does not touch. Who tries them has the password, so they are counted over all
//! sources too: six digits do not hold out for long.

use hmac::Mac;

use super::context::Context;
use super::id::Id;
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
/// Attempts on the second factor of one account from one source within the window.
pub const MAX_CODES_PER_SOURCE: i64 = 10;
/// One-time passwords tried on one account, from wherever, within a day.
pub const MAX_CODES_PER_ACCOUNT: i64 = 20;
/// The day.
pub const CODES_WINDOW_SECONDS: u64 = 24 * 60 * 60;

/// One attempt, counted.
pub struct Attempt {
    keys: Vec<String>,
}

impl Attempt {
    /// Counts one on a user name.
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
        Ok(Attempt { keys: vec![key] })
    }

    /// Counts one on the second factor of an account. What cannot be guessed is
    /// not counted over all sources: so who has the password of another cannot
    /// keep them from using a recovery code.
    ///
    /// Fails with -32003 when it is one too many.
    pub fn on_second_factor(user_id: Id, guessable: bool, context: &Context) -> Result<Attempt> {
        check_source(context)?;
        let store = context.ports.store;
        let source = context.caller.source.as_str();
        let here = key(&["second factor", &user_id.to_string(), source], context)?;
        if store.add(&here, 1, window())? > MAX_CODES_PER_SOURCE {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        let anywhere = codes_key(user_id, context)?;
        let day = Some(CODES_WINDOW_SECONDS * 1000);
        if guessable && store.add(&anywhere, 1, day)? > MAX_CODES_PER_ACCOUNT {
            return Err(AuthError::too_many(CODES_WINDOW_SECONDS));
        }
        Ok(Attempt {
            keys: vec![here, anywhere],
        })
    }

    /// Forgets all attempts like it, in the batch of one that went well.
    pub fn succeed(&self, batch: &mut Batch) {
        for key in &self.keys {
            batch.delete(key.clone(), Expect::Any);
        }
    }
}

/// Forgets what was tried on the second factor of an account, in the batch that
/// removes it.
pub fn forget_codes(user_id: Id, batch: &mut Batch, context: &Context) -> Result<()> {
    batch.delete(codes_key(user_id, context)?, Expect::Any);
    Ok(())
}

fn codes_key(user_id: Id, context: &Context) -> Result<String> {
    key(&["second factor", &user_id.to_string()], context)
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
