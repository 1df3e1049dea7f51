//! Records what becomes known about an operation while it runs, for the host's audit log.

use std::cell::{Cell, RefCell};

use serde_json::Value;

use super::actor_id::ActorId;
use crate::ports::{Audit, Credential};
use crate::types::id::Id;

/// The facts known so far about one operation.
#[derive(Default)]
pub struct Trail {
    is_wanted: bool,
    credential: Cell<Option<Credential>>,
    actor: Cell<ActorId>,
    account: Cell<Option<Id>>,
    input: RefCell<Option<String>>,
}

impl Trail {
    /// Begins to record an operation; unless a record is wanted, nothing is kept that
    /// costs time or memory.
    pub fn new(is_wanted: bool) -> Trail {
        Trail {
            is_wanted,
            ..Trail::default()
        }
    }

    /// Reports whether a record is wanted.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Records the kind of credential that the caller presented.
    pub fn shown(&self, credential: Credential) {
        self.credential.set(Some(credential));
    }

    /// Records the actor that the caller turned out to be, whether or not it is permitted
    /// to do what it asked for.
    pub fn acts(&self, actor: ActorId) {
        self.actor.set(actor);
    }

    /// Records the existing account that the operation is about. The first call counts.
    pub fn concerns(&self, account: Id) {
        self.account.set(self.account.get().or(Some(account)));
    }

    /// Records the input of the operation.
    pub fn took(&self, input: Option<String>) {
        self.input.replace(input);
    }

    /// Records the account that the result of the operation names, if any.
    pub fn names(&self, answer: &Value) {
        let id = answer.get("user_id").or(answer.get("sub"));
        let id = id.and_then(Value::as_str);
        if let Some(Ok(id)) = id.map(|id| Id::try_from(id.to_owned())) {
            self.concerns(id);
        }
    }

    /// Returns the audit facts of the operation after it has ended.
    ///
    /// The input of unauthenticated calls about unknown accounts is omitted: an unknown
    /// user name may be a password that was typed into the wrong field.
    pub fn audit(&self) -> Audit {
        let actor = self.actor.get();
        let account = self.account.get();
        let is_attributable = actor != ActorId::Anonymous || account.is_some();
        let session_id = match actor {
            ActorId::User { session_id, .. } => Some(session_id),
            ActorId::Anonymous | ActorId::ApiKey(_) | ActorId::Operator => None,
        };
        Audit {
            credential: self.credential.get().unwrap_or(Credential::Anonymous),
            actor: (actor != ActorId::Anonymous).then(|| actor.name()),
            session_id,
            account,
            input: self.input.take().filter(|_| is_attributable),
        }
    }
}
