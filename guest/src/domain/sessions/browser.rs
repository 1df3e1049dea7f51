//! The session of a browser. Its cookie holds the refresh token of the session, which stays
//! the same as long as only the browser uses it.

use std::time::Duration;

use super::refresh_token::RefreshToken;
use super::session::{self, Session};
use crate::domain::access::agent::Agent;
use crate::domain::audit::{Event, event_name};
use crate::domain::call::Call;
use crate::error::Result;
use crate::storage::batch::{Batch, Commit};
use crate::storage::retry::Race;

/// The precision of the last use, which avoids a write for every page.
const TOUCH_EVERY: Duration = Duration::from_secs(60 * 60);

/// Returns the live session of a cookie, or `None` for any other text. Notes the use.
///
/// The browser never replaces the token in its cookie. A token that was replaced is a copy:
/// once its grace is over, the session ends, as with any other refresh token (RFC 9700
/// section 4.14.2).
pub fn session(cookie: &str, call: &Call) -> Result<Option<Session>> {
    let ports = &call.ports;
    let Some(token) = RefreshToken::parse(cookie, ports)? else {
        return Ok(None);
    };
    let Some(found) = Session::read(token.session_id(), ports)? else {
        return Ok(None);
    };
    let user_id = found.value.user_id;
    let (found, account, _) = session::read_with_account(token.session_id(), user_id, ports)?;
    let (Some(found), Some(account)) = (found, account) else {
        return Ok(None);
    };
    let session = &found.value;
    let is_of_owner = Agent::of_session(session).is_none();
    if !is_of_owner || !session.is_alive(&account.value, call.now()) {
        return Ok(None);
    }
    if !session.is_current(&token, ports)? {
        if session.replayed(&token, call)?.is_none() {
            // If this loses a race, the next page tries again.
            let (Race::Won(()) | Race::Lost) = session::end(
                &found,
                Event::refused(event_name::USE_COOKIE, "reused"),
                call,
            )?;
        }
        return Ok(None);
    }
    if call.now().since(session.refreshed_at) >= TOUCH_EVERY {
        let mut batch = Batch::new();
        batch.change(&found, &session.touched(call));
        // If the write loses a race, another page has noted its use, or the session has
        // ended, which the next commit will notice.
        match batch.commit(None, ports)? {
            Commit::Done | Commit::Conflict => {}
        }
    }
    Ok(Some(found.value))
}
