//! Records the actor and the account of an operation while it runs, for the host's audit
//! log.

use std::cell::Cell;

use super::actor_id::ActorId;
use crate::types::id::Id;

/// The actor and the account of one operation, as far as they are known.
///
/// Both count even if the operation fails after they were recorded, so they cannot be part
/// of its result. The dispatcher reads them after the operation has ended. In between, an
/// actor replaces the one before, which the same caller turned out to be before a lost
/// race; and the first account stays, since the operation is about that one.
#[derive(Default)]
pub struct CallRecorder {
    actor: Cell<ActorId>,
    account: Cell<Option<Id>>,
}

impl CallRecorder {
    /// Records the actor that the caller turned out to be, whether or not it is permitted
    /// to do what it asked for. The last one counts.
    pub fn record_actor(&self, actor: ActorId) {
        self.actor.set(actor);
    }

    /// Records the existing account that the operation is about. The first one counts.
    pub fn record_account(&self, account: Id) {
        self.account.set(self.account.get().or(Some(account)));
    }

    /// Returns the actor, or [`ActorId::Anonymous`] if none was recorded.
    pub fn actor(&self) -> ActorId {
        self.actor.get()
    }

    /// Returns the account, or `None` if none was recorded.
    pub fn account(&self) -> Option<Id> {
        self.account.get()
    }
}

#[cfg(test)]
mod tests {
    use super::{ActorId, CallRecorder, Id};

    #[test]
    fn the_last_actor_and_the_first_account_count() {
        let [first, second] = [1, 2].map(|byte| Id::from_bytes([byte; 16]));
        let recorder = CallRecorder::default();
        assert_eq!(recorder.actor(), ActorId::Anonymous);
        assert_eq!(recorder.account(), None);
        recorder.record_actor(ActorId::Operator);
        recorder.record_actor(ActorId::ApiKey(first));
        recorder.record_account(first);
        recorder.record_account(second);
        assert_eq!(recorder.actor(), ActorId::ApiKey(first));
        assert_eq!(recorder.account(), Some(first));
    }
}
