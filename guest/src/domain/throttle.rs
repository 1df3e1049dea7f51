//! Throttling of attempts to guess secrets.
//!
//! Three kinds of counters limit attempts on a secret: those of each source, so that an
//! attacker elsewhere cannot lock the owner out; those of all unknown sources together, so
//! that using many sources gains nothing; and the failures of each source over all
//! secrets, against one password tried on many names. A source becomes known after a
//! successful login from it. Unknown names are counted like all others.
//!
//! The window of a password and a source also belongs to the name that was typed. If the
//! user name and the address of an account shared a window, and two unknown names did not,
//! a few guesses would reveal which names belong together, and that there is an account.
//!
//! Counters belong to the current secret of an account, not to its name: a new account, a
//! new password and a new app begin without counts and without known sources. Earlier
//! counters expire.
//!
//! An attempt is counted once everything is available to judge it, and before anything
//! depends on the result. So concurrent attempts are all counted, and an attempt that
//! could not be judged, because the host had no capacity for its hash, is not. An attempt
//! that fails for another reason after that stays counted: it was judged, and the response
//! time may reveal the result.
//!
//! Codes of a second factor have separate counters, which a correct password does not
//! reset. Recovery codes have separate counters from those of an app, so that an attacker
//! with the password who guesses app codes cannot prevent the owner from using a recovery
//! code.

mod requests;

use std::time::Duration;

use super::accounts::account::Account;
use super::accounts::username::Username;
use super::actor_id::ActorId;
use super::audit::UnknownAccount;
use super::call::Call;
use super::env::Env;
use crate::error::{AuthError, Result};
use crate::ports::{Entry, Expect, Ports};
use crate::storage::batch::Batch;
use crate::types::id::Id;
use crate::types::mac;

pub use requests::{check_approvals, count_approval, count_client, count_sign_in};

/// How long attempts without a success count, from the first.
const CONSECUTIVE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a source stays known after a success.
const KNOWN: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The number of counters on one page that a reset deletes.
const PAGE: u32 = 500;

/// The most codes that are sent for one account, or to one address, within an hour.
pub const MAX_CODES: i64 = 10;
/// The most of those codes that are sent at the request of one source.
pub const MAX_CODES_PER_SOURCE: i64 = 3;
/// The length of the hour.
pub const CODES_WINDOW: Duration = Duration::from_secs(60 * 60);

/// A secret that can be guessed.
#[derive(Clone, Copy)]
pub enum Authenticator {
    /// The current password of an account.
    Password {
        /// The account.
        of: Id,
        /// The epoch of the password, which distinguishes it from earlier ones.
        epoch: u64,
    },
    /// The one-time passwords of an app.
    Totp {
        /// The account.
        of: Id,
        /// The id of the app, which distinguishes it from earlier ones.
        app: Id,
    },
    /// The recovery codes of this account.
    RecoveryCode(Id),
}

/// A permitted attempt on a secret, which is not counted yet.
pub struct Attempt {
    authenticator: Authenticator,
    keys: AttemptKeys,
    is_known: bool,
}

/// An attempt on a secret that was counted.
pub struct Counted {
    keys: AttemptKeys,
    is_known: bool,
}

impl Attempt {
    /// Checks whether an attempt may be made from the caller's source.
    ///
    /// Fails with -32003 if there were too many attempts. Nothing is counted: a rejected
    /// attempt leaves no trace.
    pub fn admit(authenticator: Authenticator, call: &Call) -> Result<Attempt> {
        let keys = AttemptKeys::new(authenticator, call)?;
        Attempt::admit_at(keys, authenticator, call)
    }

    /// Checks whether an attempt on a password may be made with this name from the caller's
    /// source. Fails like [`Attempt::admit`].
    pub fn admit_password(
        authenticator: Authenticator,
        typed: &Username,
        call: &Call,
    ) -> Result<Attempt> {
        let mut keys = AttemptKeys::new(authenticator, call)?;
        keys.window = keys.window_of(typed, call)?;
        Attempt::admit_at(keys, authenticator, call)
    }

    fn admit_at(keys: AttemptKeys, authenticator: Authenticator, call: &Call) -> Result<Attempt> {
        let limits = &call.settings.throttling;
        let wanted = [
            source_key(call)?,
            keys.known_source.clone(),
            keys.of_unknown_sources.clone(),
            keys.of_known_source.clone(),
            keys.window.clone(),
        ];
        let mut entries = call.ports.store.get(&wanted)?.into_iter();
        let mut next = || entries.next().flatten();
        let failures = count(next().as_ref());
        let is_known = next().is_some();
        let of_unknown_sources = count(next().as_ref());
        let of_known_source = count(next().as_ref());
        let in_window = count(next().as_ref());
        if failures >= limits.failures_per_source {
            return Err(too_many(call));
        }
        if !is_known && of_unknown_sources >= limits.consecutive_attempts {
            return Err(authenticator.locked());
        }
        if in_window >= limits.attempts_per_source {
            return Err(too_many(call));
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

    /// Counts the attempt.
    ///
    /// Fails with -32003 if concurrent attempts have exceeded the limit.
    pub fn count(self, env: &Env) -> Result<Counted> {
        let Attempt {
            authenticator,
            keys,
            is_known,
        } = self;
        let limits = &env.settings.throttling;
        let store = env.ports.store;
        if store.add(&keys.window, 1, window(env))? > limits.attempts_per_source {
            return Err(too_many(env));
        }
        if authenticator.can_be_guessed() {
            let consecutive = match is_known {
                true => &keys.of_known_source,
                false => &keys.of_unknown_sources,
            };
            let tried = match store.add(consecutive, 1, ttl(CONSECUTIVE)) {
                Ok(tried) => tried,
                Err(error) => {
                    // If this fails too, the attempt stays counted.
                    let _ = give_back(&keys.window, window(env), env);
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
    /// Reports whether the owner has authenticated from this source before.
    pub fn is_from_known_source(&self) -> bool {
        self.is_known
    }

    /// Resets all counters except those of other known sources, and makes the caller's
    /// source known, in the batch of a successful attempt.
    pub fn succeed(&self, batch: &mut Batch) {
        let keys = &self.keys;
        for counter in [
            &keys.window,
            &keys.of_known_source,
            &keys.of_unknown_sources,
        ] {
            batch.delete(counter.clone(), Expect::Any);
        }
        keys.know_source(batch);
    }

    /// Does the same for a password, and also resets the windows of the other names of the
    /// account. A further spelling of an internationalised domain keeps its window, which
    /// soon ends.
    pub fn succeed_with_password(
        &self,
        account: &Account,
        batch: &mut Batch,
        call: &Call,
    ) -> Result<()> {
        self.succeed(batch);
        let mut windows = Vec::new();
        for name in account.login_names() {
            windows.push(self.keys.window_of(&name, call)?);
        }
        windows.sort_unstable();
        windows.dedup();
        windows.retain(|window| *window != self.keys.window);
        for window in windows {
            batch.delete(window, Expect::Any);
        }
        Ok(())
    }
}

impl Authenticator {
    /// Returns the password of an account.
    pub fn password_of(account: &Account) -> Authenticator {
        Authenticator::Password {
            of: account.user_id,
            epoch: account.password_epoch,
        }
    }

    /// Returns the password of a name without an account.
    pub fn password_of_unknown(unknown: UnknownAccount) -> Authenticator {
        Authenticator::Password {
            of: unknown.id(),
            epoch: 0,
        }
    }

    /// Returns the app of an account, or `None` if it has no confirmed app.
    pub fn totp_of(account: &Account) -> Option<Authenticator> {
        let factor = account.second_factor.as_ref()?;
        Some(Authenticator::Totp {
            of: account.user_id,
            app: factor.app(),
        })
    }

    /// A recovery code has 140 bits: counting attempts from unknown sources would only let
    /// an attacker lock the owner out.
    fn can_be_guessed(self) -> bool {
        !matches!(self, Authenticator::RecoveryCode(_))
    }

    /// Returns the error for a lock that lasts longer than the window.
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
        AuthError::too_many(CONSECUTIVE).detail("action", action)
    }
}

/// The store keys of the counters of one secret, tried from one source.
struct AttemptKeys {
    windows: String,
    window: String,
    of_known_source: String,
    of_unknown_sources: String,
    known_source: String,
}

impl AttemptKeys {
    fn new(authenticator: Authenticator, call: &Call) -> Result<AttemptKeys> {
        let secret = secret_name(authenticator, &call.ports)?;
        let source = name(&[&call.caller.source.to_string()], &call.ports)?;
        let windows = window_prefix(&secret);
        Ok(AttemptKeys {
            window: format!("{windows}{source}"),
            windows,
            of_known_source: format!("{}{source}", known_source_prefix(&secret)),
            of_unknown_sources: unknown_sources_key(&secret),
            known_source: format!("known-source/{secret}/{source}"),
        })
    }

    /// Returns the key of the window in which attempts with this name count.
    fn window_of(&self, typed: &Username, call: &Call) -> Result<String> {
        let source = call.caller.source.to_string();
        let attempts = name(&["login-name", typed.as_str(), &source], &call.ports)?;
        Ok(format!("{}{attempts}", self.windows))
    }

    fn know_source(&self, batch: &mut Batch) {
        batch.put(self.known_source.clone(), Expect::Any, &(), ttl(KNOWN));
    }
}

/// Makes the caller's source known, in the batch of the change that creates the secret.
pub fn know_source(authenticator: Authenticator, batch: &mut Batch, call: &Call) -> Result<()> {
    AttemptKeys::new(authenticator, call)?.know_source(batch);
    Ok(())
}

/// Reports whether attempts from unknown sources are locked out.
pub fn is_locked(authenticator: Authenticator, env: &Env) -> Result<bool> {
    let key = unknown_sources_key(&secret_name(authenticator, &env.ports)?);
    let counter = env.ports.store.get(&[key])?.pop().flatten();
    Ok(count(counter.as_ref()) >= env.settings.throttling.consecutive_attempts)
}

/// Resets the counters of this secret for all sources, in a batch. If there are very many
/// sources, some counters may remain, which expire at the end of the window anyway.
pub fn forget(authenticator: Authenticator, batch: &mut Batch, ports: &Ports) -> Result<()> {
    let secret = secret_name(authenticator, ports)?;
    batch.delete(unknown_sources_key(&secret), Expect::Any);
    delete_page(&known_source_prefix(&secret), batch, ports)?;
    delete_page(&window_prefix(&secret), batch, ports)
}

fn delete_page(prefix: &str, batch: &mut Batch, ports: &Ports) -> Result<()> {
    for entry in ports.store.scan(prefix, None, PAGE)?.entries {
        batch.delete(entry.key, Expect::Any);
    }
    Ok(())
}

/// Counts a request to reset the password of the account with this name or address, for
/// the pair of name and source and for the source.
///
/// Fails with -32003 if it is one too many.
pub fn count_reset(whose: &str, call: &Call) -> Result<()> {
    check_source(call)?;
    let key = counter_key(&["reset", whose, &call.caller.source.to_string()], call)?;
    let tried = call.ports.store.add(&key, 1, window(call))?;
    if tried > call.settings.throttling.attempts_per_source {
        return Err(too_many(call));
    }
    count_failure(call)
}

/// Counts a code for the target that `parts` name. Returns `false` if it is one too many
/// and must not be sent: no caller may flood a mailbox whose address it knows, and
/// requests by one source must not soon prevent the owner from getting a code.
pub fn may_send_code(parts: &[&str], call: &Call) -> Result<bool> {
    let source = call.caller.source.to_string();
    let from_here = [parts, &[&source]].concat();
    let hour = ttl(CODES_WINDOW);
    let store = call.ports.store;
    let here = store.add(&counter_key(&from_here, call)?, 1, hour)? <= MAX_CODES_PER_SOURCE;
    // The work is the same in either case, but a code that is not sent does not count for
    // other sources.
    let delta = i64::from(here);
    let anywhere = store.add(&counter_key(parts, call)?, delta, hour)? <= MAX_CODES;
    Ok(here && anywhere)
}

/// Takes back the count of a code that was certainly not sent.
pub fn give_code_back(parts: &[&str], call: &Call) -> Result<()> {
    let source = call.caller.source.to_string();
    let from_here = [parts, &[&source]].concat();
    let hour = ttl(CODES_WINDOW);
    for parts in [from_here.as_slice(), parts] {
        give_back(&counter_key(parts, call)?, hour, call)?;
    }
    Ok(())
}

/// Decrements a counter. A counter that has expired in the meantime is not left below
/// zero, which would allow one attempt more than the limit.
fn give_back(counter: &str, ttl_ms: Option<u64>, env: &Env) -> Result<()> {
    let store = env.ports.store;
    if store.add(counter, -1, ttl_ms)? < 0 {
        store.add(counter, 1, ttl_ms)?;
    }
    Ok(())
}

/// Fails with -32003 if there were too many failures from the caller's source.
pub fn check_source(call: &Call) -> Result<()> {
    let key = source_key(call)?;
    let counter = call.ports.store.get(&[key])?.pop().flatten();
    if count(counter.as_ref()) >= call.settings.throttling.failures_per_source {
        return Err(too_many(call));
    }
    Ok(())
}

/// Fails with -32003 if there were too many failures, or registrations, from the caller's
/// source. As with attempts, the binding check is [`count_registration`].
pub fn admit_registration(call: &Call) -> Result<()> {
    let limits = &call.settings.throttling;
    let keys = [source_key(call)?, registrations_key(call)?];
    let mut entries = call.ports.store.get(&keys)?;
    let registered = count(entries.pop().flatten().as_ref());
    let failed = count(entries.pop().flatten().as_ref());
    let has_rate = has_registration_rate(call);
    if failed >= limits.failures_per_source
        || has_rate && registered >= limits.registrations_per_source
    {
        return Err(too_many(call));
    }
    Ok(())
}

/// Counts a registration whose hash has been computed, before the account is created.
///
/// Fails with -32003 if it is one too many.
pub fn count_registration(call: &Call) -> Result<()> {
    if !has_registration_rate(call) {
        return Ok(());
    }
    let key = registrations_key(call)?;
    let registered = call.ports.store.add(&key, 1, window(call))?;
    if registered > call.settings.throttling.registrations_per_source {
        return Err(too_many(call));
    }
    Ok(())
}

/// The operator may register any number of accounts.
fn has_registration_rate(call: &Call) -> bool {
    call.actor_id() != ActorId::Operator
}

/// Counts a failure of the caller's source.
///
/// Fails with -32003 if it was one too many: then the caller does not even learn that the
/// attempt failed.
pub fn count_failure(call: &Call) -> Result<()> {
    let key = source_key(call)?;
    let failed = call.ports.store.add(&key, 1, window(call))?;
    if failed > call.settings.throttling.failures_per_source {
        return Err(too_many(call));
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

fn unknown_sources_key(secret: &str) -> String {
    format!("throttle/strangers/{secret}")
}

fn window_prefix(secret: &str) -> String {
    format!("throttle/window/{secret}/")
}

fn known_source_prefix(secret: &str) -> String {
    format!("throttle/known/{secret}/")
}

fn source_key(call: &Call) -> Result<String> {
    counter_key(&[&call.caller.source.to_string()], call)
}

fn registrations_key(call: &Call) -> Result<String> {
    counter_key(&["registrations", &call.caller.source.to_string()], call)
}

fn counter_key(parts: &[&str], env: &Env) -> Result<String> {
    Ok(format!("throttle/{}", name(parts, &env.ports)?))
}

fn window(env: &Env) -> Option<u64> {
    ttl(env.settings.throttling.window)
}

/// Returns the error for a limit that lasts until the end of the window.
fn too_many(env: &Env) -> AuthError {
    AuthError::too_many(env.settings.throttling.window)
}

fn ttl(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_millis()).ok()
}

fn count(counter: Option<&Entry>) -> i64 {
    // A counter that cannot be read counts as full: fail closed.
    counter.map_or(0, |entry| {
        std::str::from_utf8(&entry.value)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(i64::MAX)
    })
}
