//! What becomes known of an operation while it runs, for the host's audit log.

use std::cell::{Cell, RefCell};

use serde_json::Value;

use super::access::actor::Actor;
use super::context::Principal;
use crate::ports::{Audit, Credential};
use crate::types::id::Id;

/// What is known so far of one operation.
#[derive(Default)]
pub struct Trail {
    is_wanted: bool,
    credential: Cell<Option<Credential>>,
    who: Cell<Option<Who>>,
    account: Cell<Option<Id>>,
    input: RefCell<Option<String>>,
}

/// An actor, without what is not needed here.
#[derive(Clone, Copy)]
enum Who {
    User { user_id: Id, session_id: Id },
    ApiKey(Id),
    Operator,
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
    pub fn shown(&self, principal: &Principal) {
        self.credential.set(Some(match principal {
            Principal::Anonymous => Credential::Anonymous,
            Principal::AccessToken(_) => Credential::AccessToken,
            Principal::ApiKey(_) => Credential::ApiKey,
            Principal::Operator => Credential::Operator,
        }));
    }

    /// The caller has turned out to be this actor, whether or not they may do what
    /// they want to.
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
