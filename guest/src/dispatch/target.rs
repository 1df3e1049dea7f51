//! Selects the account that an operation is about, by its id or its user name.

use super::input;
use crate::domain::access::actor::Actor;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::username::Username;
use crate::domain::audit::Head;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::Ports;
use crate::storage::record::{Found, Stored};
use crate::types::id::Id;

/// An account named by either of the input fields `user_id` and `username`.
pub enum Target {
    /// Named by its id.
    UserId(Id),
    /// Named by its user name.
    Username(Username),
}

impl Target {
    /// Fails with -32000 unless exactly one of the two is present.
    pub fn new(user_id: Option<Id>, username: Option<Username>) -> Result<Target> {
        match (user_id, username) {
            (Some(user_id), None) => Ok(Target::UserId(user_id)),
            (None, Some(username)) => Ok(Target::Username(username)),
            _ => Err(input::not_one_of("user_id", "username")),
        }
    }

    /// Returns the account and the head of its audit chain, as one snapshot.
    ///
    /// Fails with -32000 if there is no such account.
    pub fn read(&self, ports: &Ports) -> Result<(Stored<Account>, Found<Head>)> {
        let user_id = match self {
            Target::UserId(user_id) => Some(*user_id),
            Target::Username(username) => Account::id_of(username, ports)?,
        };
        let Some(user_id) = user_id else {
            return Err(self.unknown());
        };
        match Account::read(user_id, ports)? {
            (Some(account), head) => Ok((account, head)),
            (None, _) => Err(self.unknown()),
        }
    }

    /// Does the same as [`Target::read`] for an actor that is about to disable or enable
    /// the account, or to take something from it. The account must be another's and have
    /// no permission that the actor lacks. An administrator can thus only be disabled by
    /// another one, who remains.
    ///
    /// Fails with -32000 if it is the actor's own account, and with -32002 if it has
    /// permissions that the actor lacks.
    pub fn read_governed(&self, call: &ActorCall) -> Result<Governed> {
        let (account, head) = self.read(&call.ports)?;
        if call.actor().user_id() == Some(account.value.user_id) {
            return Err(AuthError::new(
                ErrorKind::Application,
                "You cannot do this to your own account",
            )
            .detail("action", "ask another administrator, or the operator"));
        }
        authority::require_governed(&account.value, call)?;
        Ok(Governed { account, head })
    }

    fn unknown(&self) -> AuthError {
        let error = AuthError::new(ErrorKind::Application, "There is no such user")
            .because(Cause::UnknownUser);
        match self {
            Target::UserId(user_id) => error.detail("user_id", user_id.to_string()),
            Target::Username(username) => error.detail("username", username.as_str()),
        }
    }
}

/// Returns the account that an operation is about when it requires either a session or a
/// permission, as [`authority::subject`] does. It can also be named by its user name.
pub fn subject(
    user_id: Option<Id>,
    username: Option<&Username>,
    permission: &'static str,
    call: &ActorCall,
) -> Result<Id> {
    let named = named(user_id, username, permission, call)?;
    authority::subject(named, permission, call)
}

/// Returns the named account, if one is named and the actor may act on it: the actor's own
/// or, with the permission, any other. An id may be that of a deleted account.
///
/// Fails with -32000 if both fields are present, or if there is no such user name.
pub fn named(
    user_id: Option<Id>,
    username: Option<&Username>,
    permission: &'static str,
    call: &ActorCall,
) -> Result<Option<Id>> {
    match (user_id, username) {
        (None, None) => Ok(None),
        (Some(user_id), None) => authority::subject(Some(user_id), permission, call).map(Some),
        (None, Some(username)) => of_name(username, permission, call).map(Some),
        (Some(_), Some(_)) => Err(input::not_one_of("user_id", "username")),
    }
}

/// Requires the permission before the lookup, so that callers without it cannot find out
/// which user names exist.
fn of_name(username: &Username, permission: &'static str, call: &ActorCall) -> Result<Id> {
    if let Actor::User(session) = call.actor()
        && session.username == *username
    {
        return Ok(session.user_id);
    }
    authority::require_permission(permission, call)?;
    let found = Account::id_of(username, &call.ports)?;
    found.ok_or_else(|| Target::Username(username.clone()).unknown())
}

/// An account that the actor may disable, enable or take something from.
pub struct Governed {
    /// The account.
    pub account: Stored<Account>,
    /// The head of its audit chain.
    pub head: Found<Head>,
}
