//! The account that an operation is about, by its id or by its name.

use super::input;
use crate::domain::account::Account;
use crate::domain::actor;
use crate::domain::audit::Head;
use crate::domain::context::Context;
use crate::domain::id::Id;
use crate::domain::records::{Batch, Found, Stored};
use crate::domain::username::Username;
use crate::error::{AuthError, Kind, Result};
use crate::ports::Ports;

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

    /// The same, for who is about to stop or start the account: somebody else's,
    /// and one that may do no more than the actor. So an administrator can only
    /// be stopped by another, who remains.
    pub fn read_governed(&self, context: &Context) -> Result<Governed> {
        let governed = self.read_other(context)?;
        actor::require_governed(&governed.account.value, context)?;
        Ok(governed)
    }

    /// The same, whatever the account may do, for an operation that looks itself at
    /// what it takes from it.
    ///
    /// Fails with -32000 when it is the actor's own.
    pub fn read_other(&self, context: &Context) -> Result<Governed> {
        // Before anything is asked of the actor's roles, so that whoever holds the
        // governor had them until the end.
        let governor = governor(context)?;
        let (account, head) = self.read(&context.ports)?;
        if context.actor.user_id() == Some(account.value.user_id) {
            return Err(AuthError::new(
                Kind::Application,
                "Nobody can do this to their own account",
            )
            .detail("action", "ask another administrator, or the operator"));
        }
        Ok(Governed {
            account,
            head,
            governor,
        })
    }

    fn unknown(&self) -> AuthError {
        let error = AuthError::new(Kind::Application, "There is no such user");
        match self {
            Target::UserId(user_id) => error.detail("user_id", user_id.to_string()),
            Target::Username(username) => error.detail("username", username.as_str()),
        }
    }
}

/// An account that the actor is about to stop or start, or to take a role from.
pub struct Governed {
    /// The account.
    pub account: Stored<Account>,
    /// The head of its audit chain.
    pub head: Found<Head>,
    governor: Option<Stored<Account>>,
}

impl Governed {
    /// Makes the batch fail if the actor's own account changes before it is
    /// committed: of two who stop each other at once, only one succeeds.
    pub fn hold_governor(&self, batch: &mut Batch) {
        if let Some(governor) = &self.governor {
            let key = Account::key(governor.value.user_id);
            batch.replace(key, &governor.version, &governor.value);
        }
    }
}

/// The actor's own account; the operator needs none.
///
/// Fails with -32002 when it has been disabled or deleted since they were
/// authorised.
fn governor(context: &Context) -> Result<Option<Stored<Account>>> {
    let Some(user_id) = context.actor.user_id() else {
        return Ok(None);
    };
    let (account, _) = Account::read(user_id, &context.ports)?;
    match account.filter(|account| account.value.is_active()) {
        Some(account) => Ok(Some(account)),
        None => Err(AuthError::new(Kind::Authorization, "Not permitted")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Target;
    use crate::domain::account::Account;
    use crate::domain::actor::Actor;
    use crate::domain::context::{Context, Principal};
    use crate::domain::records::Batch;
    use crate::domain::session::Session;
    use crate::domain::username::Username;
    use crate::testing::World;

    const PASSWORD: &str = "correct horse battery staple";

    fn admin(world: &World, username: &str) -> Session {
        let credentials = json!({"username": username, "password": PASSWORD});
        world.run("register", credentials.clone()).unwrap();
        let input = json!({"username": username, "role": "admin"});
        let assigned = world.run_as(Principal::Operator, "assign_role", input);
        assigned.unwrap();
        let tokens = world.run("login", credentials).unwrap();
        let token = tokens["access_token"].as_str().unwrap();
        let live = Session::of_access_token(token, &world.context()).unwrap();
        live.unwrap()
    }

    #[test]
    fn of_two_administrators_who_stop_each_other_at_once_one_remains() {
        let world = World::new();
        let alice = admin(&world, "alice");
        let bob = Context {
            actor: Actor::User(Box::new(admin(&world, "bob"))),
            ..world.context()
        };
        let alices_name = Username::try_from("alice".to_owned()).unwrap();
        let target = Target::new(None, Some(alices_name)).unwrap();
        let governed = target.read_governed(&bob).unwrap();
        // Alice is quicker.
        let stopped = world.run_as(
            Principal::Operator,
            "disable_user",
            json!({"username": "bob"}),
        );
        stopped.unwrap();

        let mut batch = Batch::new();
        let stale = &governed.account;
        batch.replace(Account::key(alice.user_id), &stale.version, &stale.value);
        governed.hold_governor(&mut batch);
        assert!(!batch.commit(&bob).unwrap(), "bob has lost the race");
        assert!(target.read_governed(&bob).is_err(), "and may not try again");
    }
}
