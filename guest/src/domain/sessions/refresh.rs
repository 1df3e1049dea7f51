//! The exchange of a refresh token for its successor.
//!
//! A client may send one token twice: several of its processes share the token, or an answer
//! was lost. Within a grace time after its first use the token therefore leads to the current
//! token of the session, the same for everybody. The successor of a token is a function of
//! that token, so it can be found again without being stored. After that time, a token that
//! was used before ends the session, because one of its two users is not the owner (RFC 9700
//! section 4.14.2).

use super::refresh_token::RefreshToken;
use super::session::{self, Session};
use crate::domain::audit::{Chain, Event};
use crate::domain::call::Call;
use crate::domain::clients::client_id::ClientId;
use crate::error::{AuthError, Result};
use crate::storage::batch::Batch;
use crate::storage::retry::{self, Race};

/// Who may refresh a session.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// The owner of the account, in a session that the owner began for itself.
    Owner,
    /// The client that the session was delegated to.
    Client(&'a ClientId),
}

impl Holder<'_> {
    fn holds(self, session: &Session) -> bool {
        match (self, &session.delegation) {
            (Holder::Owner, None) => true,
            (Holder::Client(client_id), Some(delegation)) => delegation.client_id == *client_id,
            _ => false,
        }
    }
}

/// Exchanges a token, and returns what `issue` makes of the session and its current token.
/// Returns `None` if the token was used before: the session has ended.
///
/// Fails with -32001 if the session is over or belongs to another holder.
pub fn refresh<T>(
    operation: &'static str,
    token: &RefreshToken,
    holder: Holder,
    issue: impl Fn(&Session, &RefreshToken) -> Result<T>,
    call: &Call,
) -> Result<Option<T>> {
    retry::retry_on_conflict(|| attempt(operation, token, holder, &issue, call))
}

fn attempt<T>(
    operation: &'static str,
    token: &RefreshToken,
    holder: Holder,
    issue: &impl Fn(&Session, &RefreshToken) -> Result<T>,
    call: &Call,
) -> Result<Race<Option<T>>> {
    let ports = &call.ports;
    let Some(session) = Session::read(token.session_id(), ports)? else {
        return Err(AuthError::invalid_token());
    };
    let user_id = session.value.user_id;
    let (session, account, head) = session::read_with_account(token.session_id(), user_id, ports)?;
    let session = session.filter(|session| holder.holds(&session.value));
    let Some(session) = session else {
        return Err(AuthError::invalid_token());
    };
    let now = call.now();
    let is_alive = account.is_some_and(|account| session.value.is_alive(&account.value, now));
    let event = Event::success(operation)
        .by(user_id)
        .detail("session_id", session.value.session_id.to_string());
    let mut batch = Batch::new();
    let (refreshed, current, event) = match place(token, &session.value, call)? {
        Place::Reused => {
            // The actor is left out: which of the two users this is, is unknown.
            let event = Event::refused(operation, "reused");
            return Ok(session::end(&session, event, call)?.map(|()| None));
        }
        _ if !is_alive => return Err(AuthError::invalid_token()),
        Place::Current => {
            let (refreshed, successor) = session.value.refreshed(token, call)?;
            batch.change(&session, &refreshed);
            (refreshed, successor, event)
        }
        Place::Earlier(current) => {
            let event = event.detail("repeated", true);
            (session.value.clone(), current, event)
        }
    };
    let issued = issue(&refreshed, &current)?;
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(Some(issued)))
}

/// The place of a token among those of its session.
enum Place {
    /// It is the one that works.
    Current,
    /// It was used a short time ago; this one works now.
    Earlier(RefreshToken),
    /// It was used long ago, or never belonged to the session.
    Reused,
}

fn place(token: &RefreshToken, session: &Session, call: &Call) -> Result<Place> {
    let ports = &call.ports;
    let Some(later) = session.generation.checked_sub(token.generation()) else {
        return Ok(Place::Reused);
    };
    if later == 0 {
        return Ok(match token.matches(&session.refresh_token, ports)? {
            true => Place::Current,
            false => Place::Reused,
        });
    }
    if !session.used_within_grace(later, call) {
        return Ok(Place::Reused);
    }
    let mut current = token.successor(ports)?;
    for _ in 1..later {
        current = current.successor(ports)?;
    }
    Ok(match current.matches(&session.refresh_token, ports)? {
        true => Place::Earlier(current),
        false => Place::Reused,
    })
}
