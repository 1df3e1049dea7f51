//! The account that an operation is about, by its id or by its name.

use super::input;
use crate::domain::access::authority::{self, ActorContext};
use crate::domain::accounts::account::Account;
use crate::domain::accounts::username::Username;
use crate::domain::audit::Head;
use crate::error::{AuthError, Kind, Result};
use crate::ports::Ports;
use crate::storage::record::{Found, Stored};
use crate::types::id::Id;

/// Of the two fields `user_id` and `username` of an input, the one that is there.
pub enum Target {
    /// By its id.
    UserId(Id),
    /// By its name.
    Username(Username),
}

impl Target {
    /// Fails with -32000 unless it is exactly one.
    pub fn new(user_id: Option<Id>, username: Option<Username>) -> Result<Target> {
        match (user_id, username) {
            (Some(user_id), None) => Ok(Target::UserId(user_id)),
            (None, Some(username)) => Ok(Target::Username(username)),
            _ => Err(input::not_one_of("user_id", "username")),
        }
    }

    /// The account and the head of its audit chain, as one snapshot.
    ///
    /// Fails with -32000 when there is none.
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

    /// The same, for an actor that is about to stop or start the account, or to take
    /// something from it: the account of another, which may do no more than the
    /// actor. So an administrator can only be stopped by another, who remains.
    ///
    /// Fails with -32000 when it is the actor's own, and with -32002 when it may do
    /// more.
    pub fn read_governed(&self, context: &ActorContext) -> Result<Governed> {
        let (account, head) = self.read(&context.ports)?;
        if context.actor().user_id() == Some(account.value.user_id) {
            return Err(AuthError::new(
                Kind::Application,
                "UnknownAccount can do this to their own account",
            )
            .detail("action", "ask another administrator, or the operator"));
        }
        authority::require_governed(&account.value, context)?;
        Ok(Governed { account, head })
    }

    fn unknown(&self) -> AuthError {
        let error = AuthError::new(Kind::Application, "There is no such user");
        match self {
            Target::UserId(user_id) => error.detail("user_id", user_id.to_string()),
            Target::Username(username) => error.detail("username", username.as_str()),
        }
    }
}

/// An account that the actor is about to stop or start, or to take something from.
pub struct Governed {
    /// The account.
    pub account: Stored<Account>,
    /// The head of its audit chain.
    pub head: Found<Head>,
}
