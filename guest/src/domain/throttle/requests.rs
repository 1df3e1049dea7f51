//! Limits on what callers ask for: places for clients, sign-ins by browser, and approvals.

use std::time::Duration;

use super::{counter_key, ttl};
use crate::domain::actor_id::ActorId;
use crate::domain::call::Call;
use crate::error::{AuthError, Result};
use crate::types::id::Id;

/// How often one source may register clients within a minute, and within an hour.
const MAX_CLIENTS: [(&str, i64, Duration); 2] = [
    ("clients-minute", 10, Duration::from_secs(60)),
    ("clients-hour", 100, Duration::from_secs(60 * 60)),
];
/// How often the anonymous callers of one source may begin a sign-in by browser within ten
/// minutes.
const MAX_SIGN_INS: [(&str, i64, Duration); 1] = [("sign-ins", 60, Duration::from_secs(600))];
/// How often one known caller may, such as a platform with many users.
const MAX_SIGN_INS_OF_CALLER: (i64, Duration) = (600, Duration::from_secs(600));
/// How many approvals one agent may ask for within ten minutes. More would only tire its user.
const MAX_APPROVALS: (i64, Duration) = (10, Duration::from_secs(600));

/// Counts a client that registers itself, or changes its registration.
///
/// Fails with -32003 if its site has done that too often. A customer with many networks must
/// not take all places for clients.
pub fn count_client(call: &Call) -> Result<()> {
    count_at_site(&MAX_CLIENTS, call)
}

/// Counts a sign-in by browser that this caller begins.
///
/// Fails with -32003 if the caller has begun too many, or its site if it is anonymous.
pub fn count_sign_in(caller: ActorId, call: &Call) -> Result<()> {
    match caller {
        ActorId::Anonymous => count_at_site(&MAX_SIGN_INS, call),
        known => count_of(
            &["sign-ins-of", &known.name()],
            1,
            MAX_SIGN_INS_OF_CALLER,
            call,
        ),
    }
}

/// Fails with -32003 if the agent with this session has asked for too many approvals.
pub fn check_approvals(session_id: Id, call: &Call) -> Result<()> {
    let (most, window) = MAX_APPROVALS;
    let name = ["approvals", &session_id.to_string()];
    count_of(&name, 0, (most - 1, window), call)
}

/// Counts an approval that this agent has asked for: of several calls at once that ask for the
/// same, one does.
pub fn count_approval(session_id: Id, call: &Call) -> Result<()> {
    let (_, window) = MAX_APPROVALS;
    let name = ["approvals", &session_id.to_string()];
    count_of(&name, 1, (i64::MAX, window), call)
}

/// Adds to a counter. Fails with -32003 if it then is above its limit.
fn count_of(
    name: &[&str],
    number: i64,
    (most, window): (i64, Duration),
    call: &Call,
) -> Result<()> {
    let key = counter_key(name, call)?;
    match call.ports.store.add(&key, number, ttl(window))? > most {
        true => Err(AuthError::too_many(window)),
        false => Ok(()),
    }
}

fn count_at_site(limits: &[(&str, i64, Duration)], call: &Call) -> Result<()> {
    for (name, most, window) in limits {
        count_of(
            &[name, &call.caller.source.site()],
            1,
            (*most, *window),
            call,
        )?;
    }
    Ok(())
}
