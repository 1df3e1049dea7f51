//! What becomes known of an operation while it runs, for the host's audit log.

use std::cell::{Cell, RefCell};

use serde_json::Value;

use super::actor_id::ActorId;
use crate::ports::{Audit, Credential};
use crate::types::id::Id;

/// What is known so far of one operation.
#[derive(Default)]
pub struct Trail {
    is_wanted: bool,
    credential: Cell<Option<Credential>>,
    actor: Cell<ActorId>,
    account: Cell<Option<Id>>,
    input: RefCell<Option<String>>,
}

impl Trail {
    /// Of an operation that begins; if nobody wants to know, nothing is kept that
    /// costs anything.
    pub fn new(is_wanted: bool) -> Trail {
        Trail {
            is_wanted,
            ..Trail::default()
        }
    }

    /// Whether somebody wants to know.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// The caller has shown this.
    pub fn shown(&self, credential: Credential) {
        self.credential.set(Some(credential));
    }

    /// The caller has turned out to be this actor, whether or not they may do what
    /// they want to.
    pub fn acts(&self, actor: ActorId) {
        self.actor.set(actor);
    }

    /// The operation is about this account, which there is. What was said first
    /// counts.
    pub fn concerns(&self, account: Id) {
        self.account.set(self.account.get().or(Some(account)));
    }

    /// The operation has been called with this, which is what it takes.
    pub fn took(&self, input: Option<String>) {
        self.input.replace(input);
    }

    /// The operation has given this answer, which may name the account that it was
    /// about.
    pub fn names(&self, answer: &Value) {
        let id = answer.get("user_id").or(answer.get("sub"));
        let id = id.and_then(Value::as_str);
        if let Some(Ok(id)) = id.map(|id| Id::try_from(id.to_owned())) {
            self.concerns(id);
        }
    }

    /// What there is to tell of it, now that it has ended.
    ///
    /// What nobody in particular sent about no account that there is, is not told: a
    /// name that nobody has may be a password that was typed into the wrong field.
    pub fn audit(&self) -> Audit {
        let actor = self.actor.get();
        let account = self.account.get();
        let is_of_somebody = actor != ActorId::Anonymous || account.is_some();
        let session_id = match actor {
            ActorId::User { session_id, .. } => Some(session_id),
            ActorId::Anonymous | ActorId::ApiKey(_) | ActorId::Operator => None,
        };
        Audit {
            credential: self.credential.get().unwrap_or(Credential::Anonymous),
            actor: (actor != ActorId::Anonymous).then(|| actor.name()),
            session_id,
            account,
            input: self.input.take().filter(|_| is_of_somebody),
        }
    }
}
