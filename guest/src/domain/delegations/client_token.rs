//! The tokens of clients: how their sessions are found.

use crate::domain::call::Call;
use crate::domain::sessions::access_token::AccessToken;
use crate::domain::sessions::refresh_token::RefreshToken;
use crate::domain::sessions::session::Session;
use crate::error::Result;
use crate::storage::record::Found;

/// Returns the delegated session of a token that was issued here to a client, even if the
/// token has expired or been used, or `None` for anything else.
pub fn session(token: &str, call: &Call) -> Result<Found<Session>> {
    let ports = &call.ports;
    let session_id = match RefreshToken::parse(token, ports)? {
        Some(token) => Some(token.session_id()),
        None => AccessToken::session_id_for_others(token, call)?,
    };
    let Some(session_id) = session_id else {
        return Ok(None);
    };
    let session = Session::read(session_id, ports)?;
    Ok(session.filter(|session| session.value.delegation.is_some()))
}
