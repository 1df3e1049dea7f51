//! Approvals: what the owner of an account lets an agent do once.
//!
//! An approval is for one call of one agent: its id is derived from the session of the agent,
//! the operation and all its arguments. So the agent needs nothing but to repeat the call,
//! and a call that differs in anything is another one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::access::agent::Agent;
use crate::domain::access::authority::ActorCall;
use crate::domain::call::Call;
use crate::domain::display_text::DisplayText;
use crate::domain::throttle;
use crate::error::{AuthError, Cause, ErrorKind, Result};
use crate::ports::Expect;
use crate::storage::batch::{Batch, Commit};
use crate::storage::record::{self, Found, Stored};
use crate::storage::retry::{self, Race};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// The path of the page for approvals, below the issuer.
pub const PAGE: &str = "/approve";

/// How long the owner can decide, and the agent can then make use of it.
pub const TTL: Duration = Duration::from_secs(600);

/// A call that has to be approved.
pub struct Question {
    /// The address of the page for approvals.
    pub page: String,
    /// The name of the operation.
    pub operation: &'static str,
    /// All arguments, as JSON with its fields in order.
    pub exact: Vec<u8>,
    /// The arguments as the user may see them, as a JSON object; `None` if not all of them can be
    /// shown.
    pub shown: Option<String>,
}

/// An approval, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// The id, a MAC that only this service can compute.
    pub approval_id: Id,
    /// The owner of the account.
    pub user_id: Id,
    /// The session of the agent.
    pub session_id: Id,
    /// Differs each time that the same call asks for its approval.
    pub nonce: Id,
    /// The name of the agent.
    pub agent_name: DisplayText,
    /// The OAuth client that the agent is, or empty.
    pub client_id: String,
    /// The operation.
    pub operation: String,
    /// The arguments as the owner sees them, as a JSON object.
    pub arguments: String,
    /// Whether the owner allows it; `None` until the owner has decided.
    pub is_allowed: Option<bool>,
    expires_at: Timestamp,
}

impl Approval {
    /// Returns the approval with this id if it still counts.
    pub fn read(approval_id: Id, call: &Call) -> Result<Found<Approval>> {
        let found = record::read::<Approval>(key(approval_id), &call.ports)?;
        Ok(found.filter(|found| call.now() < found.value.expires_at))
    }

    /// Fails with -32000 if the owner cannot see all that the call would do.
    fn new(approval_id: Id, agent: &Agent, question: &Question, call: &Call) -> Result<Approval> {
        let Some(arguments) = question.shown.clone() else {
            let message = "The call has too much in it for the user to approve";
            let error = AuthError::new(ErrorKind::Application, message);
            return Err(error.detail("action", "split it into several calls"));
        };
        let client_id = agent.client_id.as_ref();
        Ok(Approval {
            approval_id,
            nonce: call.ports.random.id()?,
            user_id: agent.user_id,
            session_id: agent.session_id,
            agent_name: agent.name.clone(),
            client_id: client_id.map(ToString::to_string).unwrap_or_default(),
            operation: question.operation.to_owned(),
            arguments,
            is_allowed: None,
            expires_at: call.now() + TTL,
        })
    }

    /// Returns the error for a call that the owner has yet to approve on this page.
    fn required(&self, page: &str, now: Timestamp) -> AuthError {
        let approval_id = self.approval_id.to_string();
        let error = AuthError::new(
            ErrorKind::Authorization,
            "The user has to approve this call",
        );
        error
            .because(Cause::NotApproved)
            .detail("approval_uri", format!("{page}?id={approval_id}"))
            .detail("approval_id", approval_id)
            .detail("expires_in", self.expires_at.since(now).as_secs())
            .detail(
                "action",
                "show approval_uri to the user; once the user has approved, repeat the call with \
                 the same arguments",
            )
    }
}

/// Requires the approval of this call by the owner of the account, and uses it up. Returns its
/// id.
///
/// Fails with -32002 if the owner has not approved the call; the first such failure asks for
/// the approval. Fails with -32003 if the agent has asked for too many.
pub fn require(question: &Question, agent: &Agent, call: &ActorCall) -> Result<Id> {
    let digest = mac::to_hex(&Sha256::digest(&question.exact));
    let session = agent.session_id.to_string();
    let parts = ["approval", &session, question.operation, &digest];
    let approval_id = Id::from_bytes(mac::pseudonym(&parts, &call.ports)?);
    retry::retry_on_conflict(|| {
        let found = record::read::<Approval>(key(approval_id), &call.ports)?;
        let (expect, is_over) = match &found {
            None => (Expect::Absent, true),
            Some(found) => (
                Expect::At(found.version.clone()),
                call.now() >= found.value.expires_at,
            ),
        };
        let mut batch = Batch::new();
        let Some(found) = found.filter(|_| !is_over) else {
            throttle::check_approvals(agent.session_id, call)?;
            let approval = Approval::new(approval_id, agent, question, call)?;
            batch.put(key(approval_id), expect, &approval, ttl_ms());
            return Ok(match call.commit(batch)? {
                Commit::Done => {
                    throttle::count_approval(agent.session_id, call)?;
                    Race::Won(Err(approval.required(&question.page, call.now())))
                }
                Commit::Conflict => Race::Lost,
            });
        };
        match found.value.is_allowed {
            None => Ok(Race::Won(Err(found
                .value
                .required(&question.page, call.now())))),
            Some(false) => Ok(Race::Won(Err(AuthError::new(
                ErrorKind::Authorization,
                "The user has refused this call",
            )))),
            Some(true) => {
                batch.delete(key(approval_id), expect);
                Ok(call.commit(batch)?.then(Ok(approval_id)))
            }
        }
    })?
}

/// Puts the decision into a batch. Of two decisions at the same time, the batch of one is
/// refused.
pub fn decide(approval: &Stored<Approval>, is_allowed: bool, batch: &mut Batch) {
    let value = Approval {
        is_allowed: Some(is_allowed),
        ..approval.value.clone()
    };
    let expect = Expect::At(approval.version.clone());
    batch.put(key(value.approval_id), expect, &value, ttl_ms());
}

fn key(approval_id: Id) -> String {
    format!("approval/{approval_id}")
}

fn ttl_ms() -> Option<u64> {
    u64::try_from(TTL.as_millis()).ok()
}
