//! Records what becomes known about an operation while it runs, for the host's audit log.

use std::cell::{Cell, RefCell};

use serde_json::Value;

use super::actor::Actor;
use super::context::Principal;
use super::id::Id;
use crate::ports::{Audit, Credential};

/// The facts known so far about one operation.
#[derive(Default)]
pub struct Trail {
    is_wanted: bool,
    credential: Cell<Option<Credential>>,
    who: Cell<Option<Who>>,
    account: Cell<Option<Id>>,
    input: RefCell<Option<String>>,
}

/// The facts about an actor that the audit log needs.
#[derive(Clone, Copy)]
enum Who {
    User { user_id: Id, session_id: Id },
    ApiKey(Id),
    Operator,
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
    pub fn shown(&self, principal: &Principal) {
        self.credential.set(Some(match principal {
            Principal::Anonymous => Credential::Anonymous,
            Principal::AccessToken(_) => Credential::AccessToken,
            Principal::ApiKey(_) => Credential::ApiKey,
            Principal::Operator => Credential::Operator,
        }));
    }

    /// Records the actor that the caller turned out to be, whether or not it is permitted
    /// to do what it asked for.
    pub fn acts(&self, actor: &Actor) {
        self.who.set(match actor {
            Actor::Anonymous => None,
            Actor::User(session) => Some(Who::User {
                user_id: session.user_id,
                session_id: session.session_id,
            }),
            Actor::Bearer(claims) => Some(Who::User {
                user_id: claims.sub,
                session_id: claims.sid,
            }),
            Actor::ApiKey(key) => Some(Who::ApiKey(key.key_id)),
            Actor::Operator => Some(Who::Operator),
        });
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
        let who = self.who.get();
        let account = self.account.get();
        let is_of_somebody = who.is_some() || account.is_some();
        let (actor, session_id) = match who {
            None => (None, None),
            Some(Who::User {
                user_id,
                session_id,
            }) => (Some(user_id.to_string()), Some(session_id)),
            Some(Who::ApiKey(key_id)) => (Some(format!("api-key/{key_id}")), None),
            Some(Who::Operator) => (Some("operator".to_owned()), None),
        };
        Audit {
            credential: self.credential.get().unwrap_or(Credential::Anonymous),
            actor,
            session_id,
            account,
            input: self.input.take().filter(|_| is_of_somebody),
        }
    }
}
