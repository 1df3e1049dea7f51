//! Records what the rules find out about an operation while it runs, for the host's audit
//! log.

use std::cell::Cell;

use super::actor_id::ActorId;
use crate::types::id::Id;

/// The facts known so far about one operation.
#[derive(Default)]
pub struct Trail {
    actor: Cell<ActorId>,
    account: Cell<Option<Id>>,
}

impl Trail {
    /// Records the actor that the caller turned out to be, whether or not it is permitted
    /// to do what it asked for.
    pub fn acts(&self, actor: ActorId) {
        self.actor.set(actor);
    }

    /// Records the existing account that the operation is about. The first call counts.
    pub fn concerns(&self, account: Id) {
        self.account.set(self.account.get().or(Some(account)));
    }

    /// Returns the actor, as far as known.
    pub fn actor(&self) -> ActorId {
        self.actor.get()
    }

    /// Returns the account, if any is known.
    pub fn account(&self) -> Option<Id> {
        self.account.get()
    }
}
