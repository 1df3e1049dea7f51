//! Selects the account whose audit trail an operation is about.

use super::input;
use crate::domain::access::actor::Actor;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::permission::AUDIT_READ;
use crate::domain::accounts::username::Username;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::types::id::Id;

/// Returns the named account, if one is named and the actor may read its trail: the
/// actor's own or, with the permission, that of any account, deleted ones included.
pub fn named(
    user_id: Option<Id>,
    username: Option<&Username>,
    call: &ActorCall,
) -> Result<Option<Id>> {
    match (user_id, username) {
        (None, None) => Ok(None),
        (Some(user_id), None) => Ok(Some(authority::subject(Some(user_id), AUDIT_READ, call)?)),
        (None, Some(username)) => of_name(username, call).map(Some),
        (Some(_), Some(_)) => Err(input::not_one_of("user_id", "username")),
    }
}

/// Requires the permission before the lookup, so that callers without it cannot find out
/// which user names exist.
fn of_name(username: &Username, call: &ActorCall) -> Result<Id> {
    if let Actor::User(session) = call.actor()
        && session.username == *username
    {
        return Ok(session.user_id);
    }
    authority::require_permission(AUDIT_READ, call)?;
    Account::id_of(username, &call.ports)?.ok_or_else(|| {
        AuthError::new(ErrorKind::Application, "There is no such user")
            .because(Cause::UnknownUser)
            .detail("username", username.as_str())
    })
}
