//! The session of a browser. Its cookie holds the refresh token of the session, which stays
//! the same as long as only the browser uses it.

use std::time::Duration;

use super::refresh_token::RefreshToken;
use super::session::{self, Session};
use crate::domain::env::Env;
use crate::error::Result;
use crate::storage::batch::{Batch, Commit};

/// The precision of the last use, which avoids a write for every page.
const TOUCH_EVERY: Duration = Duration::from_secs(60 * 60);

/// Returns the live session of a cookie, or `None` for any other text. Notes the use.
pub fn session(cookie: &str, env: &Env) -> Result<Option<Session>> {
    let ports = &env.ports;
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
    let is_current = session.is_current(&token, ports)?
        && session.delegation.is_none()
        && session.is_alive(&account.value, env.now());
    if !is_current {
        return Ok(None);
    }
    if env.now().since(session.refreshed_at) >= TOUCH_EVERY {
        let mut batch = Batch::new();
        batch.change(&found, &session.touched(env));
        // If the write loses a race, another page has noted its use, or the session has
        // ended, which the next commit will notice.
        match batch.commit(None, ports)? {
            Commit::Done | Commit::Conflict => {}
        }
    }
    Ok(Some(found.value))
}
