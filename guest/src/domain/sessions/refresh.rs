//! The exchange of a refresh token for the one that replaces it, by the operation and by
//! clients at the token endpoint.

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
    let (refreshed, event) = if session.value.is_current(token, ports)? {
        (session.value.rotated(token, call)?, event)
    } else if let Some(replayed) = session.value.replayed(token, call)? {
        (replayed, event.detail("replayed", true))
    } else {
        // The actor is left out: which of the two users this is, is unknown.
        let event = Event::refused(operation, "reused");
        return Ok(session::end(&session, event, call)?.map(|()| None));
    };
    if !is_alive {
        return Err(AuthError::invalid_token());
    }
    let (refreshed, refresh_token) = refreshed;
    let issued = issue(&refreshed, &refresh_token)?;
    let mut batch = Batch::new();
    batch.change(&session, &refreshed);
    Chain::at(user_id, head).append(event, &mut batch, call)?;
    Ok(call.commit(batch)?.then(Some(issued)))
}
