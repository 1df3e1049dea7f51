//! The call of an operation: its environment, its caller, and the actor whose authority
//! every commit depends on.

use std::ops::Deref;
use std::rc::Rc;

use super::access::agent::Agent;
use super::access::toolset::Offer;
use super::actor_id::ActorId;
use super::call_recorder::CallRecorder;
use super::caller::Caller;
use super::env::Env;
use super::reporter::Reporter;
use crate::error::Result;
use crate::storage::batch::{Batch, Commit, CommitGuard};
use crate::storage::retry::{self, Race};
use crate::types::id::Id;

/// The standing of an actor: every batch of the actor is committed only while the records
/// that its authority depends on are unchanged. It is implemented by
/// [`Authority`](super::access::authority::Authority).
pub trait Standing: CommitGuard {
    /// Returns the id of the actor.
    fn actor_id(&self) -> ActorId;

    /// Returns the agent that the actor is, unless it acts for itself.
    fn agent(&self) -> Option<&Agent>;

    /// Verifies the actor again after a lost race, and returns its current standing.
    fn renew(&self, call: &Call) -> Result<Rc<dyn Standing>>;
}

/// The call of an operation.
#[derive(Clone)]
pub struct Call<'a> {
    /// The ports and the settings.
    pub env: Env<'a>,
    /// The caller, not yet verified.
    pub caller: &'a Caller,
    /// The operations that the caller's door offers.
    pub offer: Offer,
    /// The standing of the verified actor; `None` if no caller has been verified.
    pub standing: Option<Rc<dyn Standing>>,
    /// The approval that the user of an agent has given to the call.
    pub approval_id: Option<Id>,
    /// Reports to the client while it waits.
    pub reporter: &'a dyn Reporter,
    /// The recorder for the audit log; `None` outside of an operation.
    pub recorder: Option<&'a CallRecorder>,
}

impl<'a> Call<'a> {
    /// Creates a call whose caller has not been verified, at a door that offers everything.
    pub fn new(env: Env<'a>, caller: &'a Caller, reporter: &'a dyn Reporter) -> Call<'a> {
        Call {
            env,
            caller,
            offer: Offer::EVERYTHING,
            standing: None,
            approval_id: None,
            reporter,
            recorder: None,
        }
    }

    /// Returns the id of the actor, or [`ActorId::Anonymous`] if no caller has been
    /// verified.
    pub fn actor_id(&self) -> ActorId {
        let standing = self.standing.as_ref();
        standing.map_or(ActorId::Anonymous, |standing| standing.actor_id())
    }

    /// Commits a batch if the authority of the actor is unchanged.
    pub fn commit(&self, batch: Batch) -> Result<Commit> {
        let guard = self.standing.as_deref();
        batch.commit(guard.map(|guard| guard as &dyn CommitGuard), &self.ports)
    }

    /// Records the actor that the caller turned out to be, for the audit log.
    pub fn record_actor(&self, actor: ActorId) {
        if let Some(recorder) = self.recorder {
            recorder.record_actor(actor);
        }
    }

    /// Records the existing account that the operation is about, for the audit log.
    pub fn record_account(&self, account: Id) {
        if let Some(recorder) = self.recorder {
            recorder.record_account(account);
        }
    }
}

impl<'a> Deref for Call<'a> {
    type Target = Env<'a>;

    fn deref(&self) -> &Env<'a> {
        &self.env
    }
}

/// Repeats an attempt until it wins its race. Each further attempt begins with the standing
/// of the actor at that time.
pub fn retry_on_conflict<'a, T>(
    call: &Call<'a>,
    mut attempt: impl FnMut(&Call<'a>) -> Result<Race<T>>,
) -> Result<T> {
    let mut acting = call.clone();
    retry::retry_on_conflict(|| {
        let ended = attempt(&acting)?;
        if !ended.is_won()
            && let Some(standing) = &call.standing
        {
            acting.standing = Some(standing.renew(call)?);
        }
        Ok(ended)
    })
}
