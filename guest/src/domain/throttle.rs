//! The throttle of guesses.
//!
//! Attempts on a secret are counted for each source, so that an attacker elsewhere
//! cannot lock its owner out; all attempts of strangers together, so that many
//! sources do not add up; and failures for each source over all secrets, against
//! one password tried on many names. A source is no stranger once its owner has
//! proved themselves from there. Names that nobody has are counted like all others.
//!
//! An attempt is counted before the secret is looked at: whoever hangs up, or
//! makes many at once, has still made them.
//!
//! Codes of a second factor have counters of their own, which a right password
//! does not touch; recovery codes others than those of an app, so that who has
//! another's password and guesses cannot keep them from using one.

use std::time::Duration;

use hmac::Mac;

use super::context::Context;
use super::id::Id;
use super::mac;
use super::records::Batch;
use super::username::Username;
use crate::error::{AuthError, Result};
use crate::ports::{Entry, Expect, Ports};

/// Attempts on one secret from one source within the window.
pub const MAX_ATTEMPTS_PER_SOURCE: i64 = 10;
/// Failures of one source, whatever the secret, within the window.
pub const MAX_FAILURES_PER_SOURCE: i64 = 100;
/// How long they count, from the first.
pub const WINDOW_SECONDS: u64 = 15 * 60;
/// Attempts on one secret without a success, of all strangers together or from one
/// known source: NIST SP 800-63B-4 section 3.2.2 allows no more.
pub const MAX_CONSECUTIVE_ATTEMPTS: i64 = 100;
/// How long those count, from the first.
const CONSECUTIVE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a source is known after a success.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Counters that one unlocking takes away at a time.
const PAGE: u32 = 500;

/// Codes that are sent for one account, or to one address, within an hour.
pub const MAX_CODES: i64 = 3;
/// The hour.
pub const CODES_WINDOW_SECONDS: u64 = 60 * 60;

/// A secret that can be guessed.
#[derive(Clone, Copy)]
pub enum Authenticator<'a> {
    /// The password of this user name, whether anybody has it or not.
    Password(&'a Username),
    /// The one-time passwords of this account's app.
    Totp(Id),
    /// The recovery codes of this account.
    RecoveryCode(Id),
}

/// One attempt on a secret, counted.
pub struct Attempt {
    counters: [String; 3],
    known_source: String,
    is_known: bool,
}

impl Attempt {
    /// Counts it.
    ///
    /// Fails with -32003 when it is one too many.
    pub fn begin(authenticator: Authenticator, context: &Context) -> Result<Attempt> {
        let store = context.ports.store;
        let keys = AttemptKeys::new(authenticator, context)?;
        let wanted = [source_key(context)?, keys.known_source.clone()];
        let mut entries = store.get(&wanted)?;
        let is_known = entries.pop().flatten().is_some();
        if count(entries.pop().flatten().as_ref()) >= MAX_FAILURES_PER_SOURCE {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        if store.add(&keys.window, 1, window())? > MAX_ATTEMPTS_PER_SOURCE {
            return Err(AuthError::too_many(WINDOW_SECONDS));
        }
        let consecutive = match is_known {
            true => &keys.of_known_source,
            false => &keys.of_strangers,
        };
        if store.add(consecutive, 1, ttl(CONSECUTIVE))? > MAX_CONSECUTIVE_ATTEMPTS {
            return Err(AuthError::too_many(WINDOW_SECONDS).detail("action", LOCKED));
        }
        Ok(Attempt {
            counters: [keys.window, keys.of_known_source, keys.of_strangers],
            known_source: keys.known_source,
            is_known,
        })
    }

    /// Whether the owner has proved themselves from this source before.
    pub fn is_from_known_source(&self) -> bool {
        self.is_known
    }

    /// Forgets all attempts but those from other known sources, in the batch of
    /// one that went well, and knows its source from then on.
    pub fn succeed(&self, batch: &mut Batch) {
        for counter in &self.counters {
            batch.delete(counter.clone(), Expect::Any);
        }
        batch.put(self.known_source.clone(), Expect::Any, &(), ttl(KNOWN));
    }
}

/// What to do when waiting will not help.
const LOCKED: &str = "log in from where you have logged in before, reset the password, \
                      or ask an administrator to unlock the account";

/// Where the counters of one secret, tried from one source, are stored.
struct AttemptKeys {
    window: String,
    of_known_source: String,
    of_strangers: String,
    known_source: String,
}

impl AttemptKeys {
    fn new(authenticator: Authenticator, context: &Context) -> Result<AttemptKeys> {
        let secret = secret_name(authenticator, &context.ports)?;
        let source = name(&[context.caller.source.as_str()], &context.ports)?;
        let prefix = secret_prefix(&secret);
        Ok(AttemptKeys {
            window: format!("{prefix}{source}"),
            of_known_source: format!("{prefix}{source}/known"),
            of_strangers: format!("{prefix}strangers"),
            known_source: format!("known-source/{secret}/{source}"),
        })
    }
}

/// Whether strangers may not even try this secret any more.
pub fn is_locked(authenticator: Authenticator, ports: &Ports) -> Result<bool> {
    let key = format!(
        "{}strangers",
        secret_prefix(&secret_name(authenticator, ports)?)
    );
    let counter = ports.store.get(&[key])?.pop().flatten();
    Ok(count(counter.as_ref()) >= MAX_CONSECUTIVE_ATTEMPTS)
}

/// Forgets attempts on this secret, from wherever, in a batch; true: all of them,
/// false: so many that it takes another batch.
pub fn forget(authenticator: Authenticator, batch: &mut Batch, ports: &Ports) -> Result<bool> {
    let prefix = secret_prefix(&secret_name(authenticator, ports)?);
    let page = ports.store.scan(&prefix, None, PAGE)?;
    for entry in page.entries {
        batch.delete(entry.key, Expect::Any);
    }
    Ok(page.next.is_none())
}

/// Counts a request to reset the password of whoever has this name or address,
/// for the pair of name and source and for the source.
///
/// Fails with -32003 when it is one too many.
pub fn count_reset(whose: &str, context: &Context) -> Result<()> {
    check_source(context)?;
    let key = counter_key(&["reset", whose, context.caller.source.as_str()], context)?;
    if context.ports.store.add(&key, 1, window())? > MAX_ATTEMPTS_PER_SOURCE {
        return Err(AuthError::too_many(WINDOW_SECONDS));
    }
    count_failure(context)
}

/// Counts a code for what `parts` name; false: it is one too many, and must not
/// be sent. A mailbox is not to be filled by whoever knows its address.
pub fn may_send_code(parts: &[&str], context: &Context) -> Result<bool> {
    let key = counter_key(parts, context)?;
    let hour = ttl(Duration::from_secs(CODES_WINDOW_SECONDS));
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
pub fn pseudonym(parts: &[&str], ports: &Ports) -> Result<[u8; 16]> {
    let mut mac = mac::keyed("pseudonym", ports)?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let mut pseudonym = [0; 16];
    pseudonym.copy_from_slice(&mac[..16]);
    Ok(pseudonym)
}

fn name(parts: &[&str], ports: &Ports) -> Result<String> {
    Ok(mac::to_hex(&pseudonym(parts, ports)?))
}

fn secret_name(authenticator: Authenticator, ports: &Ports) -> Result<String> {
    match authenticator {
        Authenticator::Password(username) => name(&["password", username.as_str()], ports),
        Authenticator::Totp(user_id) => name(&["totp", &user_id.to_string()], ports),
        Authenticator::RecoveryCode(user_id) => {
            name(&["recovery-code", &user_id.to_string()], ports)
        }
    }
}

fn secret_prefix(secret: &str) -> String {
    format!("throttle/secret/{secret}/")
}

fn source_key(context: &Context) -> Result<String> {
    counter_key(&[context.caller.source.as_str()], context)
}

fn counter_key(parts: &[&str], context: &Context) -> Result<String> {
    Ok(format!("throttle/{}", name(parts, &context.ports)?))
}

fn window() -> Option<u64> {
    ttl(Duration::from_secs(WINDOW_SECONDS))
}

fn ttl(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
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
