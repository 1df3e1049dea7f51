//! The throttle of guesses.
//!
//! Attempts on a secret are counted for each source, so that an attacker elsewhere
//! cannot lock its owner out; all attempts of strangers together, so that many
//! sources do not add up; and failures for each source over all secrets, against
//! one password tried on many names. A source is no stranger once its owner has
//! proved themselves from there. Names that nobody has are counted like all others.
//!
//! Counters belong to the one secret that an account has now, not to its name: a new
//! account, a new password and a new app begin with none, and know no source. What
//! counted before goes with its time.
//!
//! An attempt is counted once all is there that its verdict takes, and before
//! anything depends on the verdict. So many that are made at once count as many, and one
//! that could not be judged, because the host had no place for its hash, does not count.
//! What fails after that stays counted: it was judged, and how long the answer took may
//! tell the verdict.
//!
//! Codes of a second factor have counters of their own, which a right password
//! does not touch; recovery codes others than those of an app, so that who has
//! another's password and guesses cannot keep them from using one.

use std::time::Duration;

use super::accounts::account::Account;
use super::actor_id::ActorId;
use super::audit::UnknownAccount;
use super::context::Context;
use crate::error::{AuthError, Result};
use crate::ports::{Entry, Expect, Ports};
use crate::storage::batch::Batch;
use crate::types::id::Id;
use crate::types::mac;

/// How long attempts without a success count, from the first.
const CONSECUTIVE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a source is known after a success.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Records that are looked for to be forgotten.
const PAGE: u32 = 500;

/// Codes that are sent for one account, or to one address, within an hour.
pub const MAX_CODES: i64 = 10;
/// The same, as long as one source asks for them.
pub const MAX_CODES_PER_SOURCE: i64 = 3;
/// The hour.
pub const CODES_WINDOW_SECONDS: u64 = 60 * 60;

/// A secret that can be guessed.
#[derive(Clone, Copy)]
pub enum Authenticator {
    /// The password that an account has now.
    Password {
        /// Whose.
        of: Id,
        /// Which of those that the account has had.
        epoch: u64,
    },
    /// The one-time passwords of an app.
    Totp {
        /// Whose.
        of: Id,
        /// Which of those that the account has had.
        app: Id,
    },
    /// The recovery codes of this account.
    RecoveryCode(Id),
}

/// One attempt on a secret that may be made. It is not counted yet.
pub struct Attempt {
    authenticator: Authenticator,
    keys: AttemptKeys,
    is_known: bool,
}

/// One attempt on a secret, counted.
pub struct Counted {
    keys: AttemptKeys,
    is_known: bool,
}

impl Attempt {
    /// Whether one may be made from here.
    ///
    /// Fails with -32003 when there were too many. Nothing is counted: what is
    /// refused leaves nothing behind.
    pub fn admit(authenticator: Authenticator, context: &Context) -> Result<Attempt> {
        let limits = &context.settings.throttling;
        let keys = AttemptKeys::new(authenticator, context)?;
        let wanted = [
            source_key(context)?,
            keys.known_source.clone(),
            keys.of_strangers.clone(),
            keys.of_known_source.clone(),
            keys.window.clone(),
        ];
        let mut entries = context.ports.store.get(&wanted)?.into_iter();
        let mut next = || entries.next().flatten();
        let failures = count(next().as_ref());
        let is_known = next().is_some();
        let of_strangers = count(next().as_ref());
        let of_known_source = count(next().as_ref());
        let in_window = count(next().as_ref());
        if failures >= limits.failures_per_source {
            return Err(too_many(context));
        }
        if !is_known && of_strangers >= limits.consecutive_attempts {
            return Err(authenticator.locked());
        }
        if in_window >= limits.attempts_per_source {
            return Err(too_many(context));
        }
        if is_known && of_known_source >= limits.consecutive_attempts {
            return Err(authenticator.locked());
        }
        Ok(Attempt {
            authenticator,
            keys,
            is_known,
        })
    }

    /// Counts it.
    ///
    /// Fails with -32003 when it is one too many, since others were made at the same
    /// time.
    pub fn count(self, context: &Context) -> Result<Counted> {
        let Attempt {
            authenticator,
            keys,
            is_known,
        } = self;
        let limits = &context.settings.throttling;
        let store = context.ports.store;
        if store.add(&keys.window, 1, window(context))? > limits.attempts_per_source {
            return Err(too_many(context));
        }
        if authenticator.can_be_guessed() {
            let consecutive = match is_known {
                true => &keys.of_known_source,
                false => &keys.of_strangers,
            };
            let tried = match store.add(consecutive, 1, ttl(CONSECUTIVE)) {
                Ok(tried) => tried,
                Err(error) => {
                    // If that fails too, the attempt stays counted.
                    let _ = give_back(&keys.window, window(context), context);
                    return Err(error.into());
                }
            };
            if tried > limits.consecutive_attempts {
                return Err(authenticator.locked());
            }
        }
        Ok(Counted { keys, is_known })
    }
}

impl Counted {
    /// Whether the owner has proved themselves from this source before.
    pub fn is_from_known_source(&self) -> bool {
        self.is_known
    }

    /// Forgets all attempts but those from other known sources, in the batch of
    /// one that went well, and knows its source from then on.
    pub fn succeed(&self, batch: &mut Batch) {
        let keys = &self.keys;
        for counter in [&keys.window, &keys.of_known_source, &keys.of_strangers] {
            batch.delete(counter.clone(), Expect::Any);
        }
        keys.know_source(batch);
    }
}

impl Authenticator {
    /// The password of an account.
    pub fn password_of(account: &Account) -> Authenticator {
        Authenticator::Password {
            of: account.user_id,
            epoch: account.password_epoch,
        }
    }

    /// The password of a name without an account.
    pub fn password_of_unknown(nobody: UnknownAccount) -> Authenticator {
        Authenticator::Password {
            of: nobody.id(),
            epoch: 0,
        }
    }

    /// The app of an account; `None`: it has none that counts.
    pub fn totp_of(account: &Account) -> Option<Authenticator> {
        let factor = account.second_factor.as_ref()?;
        Some(Authenticator::Totp {
            of: account.user_id,
            app: factor.app(),
        })
    }

    /// A recovery code has 140 bits: to count attempts of strangers on it would
    /// help nobody but who wants to keep its owner from using it.
    fn can_be_guessed(self) -> bool {
        !matches!(self, Authenticator::RecoveryCode(_))
    }

    /// The error when waiting will not help for long.
    fn locked(self) -> AuthError {
        let action = match self {
            Authenticator::Password { .. } => {
                "log in from where you have logged in before, reset the password, or ask an \
                 administrator to unlock the account"
            }
            Authenticator::Totp { .. } | Authenticator::RecoveryCode(_) => {
                "use a recovery code, or ask an administrator to unlock the account"
            }
        };
        AuthError::too_many(CONSECUTIVE.as_secs()).detail("action", action)
    }
}

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
        Ok(AttemptKeys {
            window: format!("{}{source}", windows_of(&secret)),
            of_known_source: format!("{}{source}", known_of(&secret)),
            of_strangers: strangers_of(&secret),
            known_source: format!("known-source/{secret}/{source}"),
        })
    }

    fn know_source(&self, batch: &mut Batch) {
        batch.put(self.known_source.clone(), Expect::Any, &(), ttl(KNOWN));
    }
}

/// Knows the caller's source from then on, in the batch of what makes the secret.
pub fn know_source(
    authenticator: Authenticator,
    batch: &mut Batch,
    context: &Context,
) -> Result<()> {
    AttemptKeys::new(authenticator, context)?.know_source(batch);
    Ok(())
}

/// Whether strangers may not even try this secret any more.
pub fn is_locked(authenticator: Authenticator, context: &Context) -> Result<bool> {
    let key = strangers_of(&secret_name(authenticator, &context.ports)?);
    let counter = context.ports.store.get(&[key])?.pop().flatten();
    Ok(count(counter.as_ref()) >= context.settings.throttling.consecutive_attempts)
}

/// Forgets attempts on this secret, from wherever, in a batch. With a flood of
/// sources some may be left that are forgotten at the end of the window anyway.
pub fn forget(authenticator: Authenticator, batch: &mut Batch, ports: &Ports) -> Result<()> {
    let secret = secret_name(authenticator, ports)?;
    batch.delete(strangers_of(&secret), Expect::Any);
    delete_page(&known_of(&secret), batch, ports)?;
    delete_page(&windows_of(&secret), batch, ports)
}

fn delete_page(prefix: &str, batch: &mut Batch, ports: &Ports) -> Result<()> {
    for entry in ports.store.scan(prefix, None, PAGE)?.entries {
        batch.delete(entry.key, Expect::Any);
    }
    Ok(())
}

/// Counts a request to reset the password of whoever has this name or address,
/// for the pair of name and source and for the source.
///
/// Fails with -32003 when it is one too many.
pub fn count_reset(whose: &str, context: &Context) -> Result<()> {
    check_source(context)?;
    let key = counter_key(&["reset", whose, context.caller.source.as_str()], context)?;
    let tried = context.ports.store.add(&key, 1, window(context))?;
    if tried > context.settings.throttling.attempts_per_source {
        return Err(too_many(context));
    }
    count_failure(context)
}

/// Counts a code for what `parts` name; false: it is one too many, and must not
/// be sent. A mailbox is not to be filled by whoever knows its address; and who
/// asks for a code of somebody else's cannot soon keep them from getting one.
pub fn may_send_code(parts: &[&str], context: &Context) -> Result<bool> {
    let from_here = [parts, &[context.caller.source.as_str()]].concat();
    let hour = ttl(Duration::from_secs(CODES_WINDOW_SECONDS));
    let store = context.ports.store;
    let here = store.add(&counter_key(&from_here, context)?, 1, hour)? <= MAX_CODES_PER_SOURCE;
    // The same work in either case; but what is not sent does not count for others.
    let delta = i64::from(here);
    let anywhere = store.add(&counter_key(parts, context)?, delta, hour)? <= MAX_CODES;
    Ok(here && anywhere)
}

/// Takes back the count of a code that was certainly not sent.
pub fn give_code_back(parts: &[&str], context: &Context) -> Result<()> {
    let from_here = [parts, &[context.caller.source.as_str()]].concat();
    let hour = ttl(Duration::from_secs(CODES_WINDOW_SECONDS));
    for parts in [from_here.as_slice(), parts] {
        give_back(&counter_key(parts, context)?, hour, context)?;
    }
    Ok(())
}

/// Takes one off a counter. A counter that has ended meanwhile is not left below zero,
/// which would allow one attempt more than the limit.
fn give_back(counter: &str, ttl_ms: Option<u64>, context: &Context) -> Result<()> {
    let store = context.ports.store;
    if store.add(counter, -1, ttl_ms)? < 0 {
        store.add(counter, 1, ttl_ms)?;
    }
    Ok(())
}

/// Fails with -32003 when there were too many failures from the caller's source.
pub fn check_source(context: &Context) -> Result<()> {
    let key = source_key(context)?;
    let counter = context.ports.store.get(&[key])?.pop().flatten();
    if count(counter.as_ref()) >= context.settings.throttling.failures_per_source {
        return Err(too_many(context));
    }
    Ok(())
}

/// Fails with -32003 when there were too many failures, or registrations, from the
/// caller's source. As with attempts, what counts is [`count_registration`].
pub fn admit_registration(context: &Context) -> Result<()> {
    let limits = &context.settings.throttling;
    let keys = [source_key(context)?, registrations_key(context)?];
    let mut entries = context.ports.store.get(&keys)?;
    let registered = count(entries.pop().flatten().as_ref());
    let failed = count(entries.pop().flatten().as_ref());
    let has_rate = has_registration_rate(context);
    if failed >= limits.failures_per_source
        || has_rate && registered >= limits.registrations_per_source
    {
        return Err(too_many(context));
    }
    Ok(())
}

/// Counts a registration that has been paid for with its hash, before it is made.
///
/// Fails with -32003 when it is one too many.
pub fn count_registration(context: &Context) -> Result<()> {
    if !has_registration_rate(context) {
        return Ok(());
    }
    let key = registrations_key(context)?;
    let registered = context.ports.store.add(&key, 1, window(context))?;
    if registered > context.settings.throttling.registrations_per_source {
        return Err(too_many(context));
    }
    Ok(())
}

/// The operator registers any number of accounts.
fn has_registration_rate(context: &Context) -> bool {
    context.actor_id() != ActorId::Operator
}

/// Counts a failure of the caller's source.
///
/// Fails with -32003 when it was one too many: then the caller does not even
/// learn that it was one.
pub fn count_failure(context: &Context) -> Result<()> {
    let key = source_key(context)?;
    let failed = context.ports.store.add(&key, 1, window(context))?;
    if failed > context.settings.throttling.failures_per_source {
        return Err(too_many(context));
    }
    Ok(())
}

fn name(parts: &[&str], ports: &Ports) -> Result<String> {
    Ok(mac::to_hex(&mac::pseudonym(parts, ports)?))
}

fn secret_name(authenticator: Authenticator, ports: &Ports) -> Result<String> {
    match authenticator {
        Authenticator::Password { of, epoch } => {
            name(&["password", &of.to_string(), &epoch.to_string()], ports)
        }
        Authenticator::Totp { of, app } => {
            name(&["totp", &of.to_string(), &app.to_string()], ports)
        }
        Authenticator::RecoveryCode(of) => name(&["recovery-code", &of.to_string()], ports),
    }
}

fn strangers_of(secret: &str) -> String {
    format!("throttle/strangers/{secret}")
}

fn windows_of(secret: &str) -> String {
    format!("throttle/window/{secret}/")
}

fn known_of(secret: &str) -> String {
    format!("throttle/known/{secret}/")
}

fn source_key(context: &Context) -> Result<String> {
    counter_key(&[context.caller.source.as_str()], context)
}

fn registrations_key(context: &Context) -> Result<String> {
    counter_key(&["registrations", context.caller.source.as_str()], context)
}

fn counter_key(parts: &[&str], context: &Context) -> Result<String> {
    Ok(format!("throttle/{}", name(parts, &context.ports)?))
}

fn window(context: &Context) -> Option<u64> {
    ttl(context.settings.throttling.window)
}

/// The error until the window is over.
fn too_many(context: &Context) -> AuthError {
    AuthError::too_many(context.settings.throttling.window.as_secs())
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
