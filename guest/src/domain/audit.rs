//! The audit trail: each account has a chain of records, and each record is sealed
//! together with the previous one under a key of the host. The record of a change is part of
//! the batch that makes the change, so no change goes unrecorded, and no record exists for
//! a change that did not happen.
//!
//! Every change to an account, including its sessions, moves the head of its chain, so the
//! head decides races between changes: a caller that reads the head first, and commits on
//! it, has seen the account as it is.

pub mod event_name;
pub mod verify;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::actor_id::ActorId;
use super::call::{self, Call};
use super::clients::client_id::ClientId;
use super::env::Env;
use crate::error::Result;
use crate::json;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// How long the records of attempts on an unknown name are kept.
const UNKNOWN_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// The refusals of one operation on one account that are recorded one by one, within an
/// hour of the first. After that, only the hundredth, the thousandth and so on are
/// recorded, with the number so far.
///
/// Unauthenticated callers can be refused as often as they like. They must not fill the
/// chain, nor move its head so often that an operation of the owner loses all its races
/// (`storage::retry`): in an hour, all operations that reject such callers move the
/// head less often than that.
pub const REFUSALS_IN_FULL: i64 = 20;
const REFUSALS_WINDOW_MS: u64 = 60 * 60 * 1000;
/// The detail of a record that states the number of refusals, including this one.
const REFUSALS: &str = "refusals_within_the_hour";

/// The prefix of all records of all chains.
pub const RECORDS: &str = "audit/";

/// A recorded event of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// The number of the record, counted from 1 in each account's chain.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// The account whose chain contains the record.
    pub account: Id,
    /// The operation that made the change.
    pub operation: String,
    /// `success`, or the reason for the refusal.
    pub outcome: String,
    /// The actor: `anonymous`, `operator`, `api-key/…`, or a user id.
    pub actor: String,
    /// The session of the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id>,
    /// The OAuth client that acted for the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The approval that the actor had given to the agent that acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<Id>,
    /// The source of the call.
    pub source: String,
    /// Further useful details; never a secret.
    pub details: Map<String, Value>,
    /// The seal of the previous record; empty for the first.
    pub previous: String,
    /// HMAC-SHA256 over all fields above, in hexadecimal.
    pub seal: String,
}

/// The description of an event to be recorded.
#[derive(Clone)]
pub struct Event<'a> {
    /// The operation.
    pub operation: &'a str,
    /// `success`, or the reason for the refusal.
    pub outcome: &'a str,
    /// The actor, if the operation knows it better than its call.
    pub actor: Option<Id>,
    /// Further useful details; never a secret.
    pub details: Map<String, Value>,
}

impl<'a> Event<'a> {
    /// Creates an event for a success.
    pub fn success(operation: &'a str) -> Event<'a> {
        Event::new(operation, "success")
    }

    /// Creates an event for a refusal.
    pub fn refused(operation: &'a str, outcome: &'a str) -> Event<'a> {
        Event::new(operation, outcome)
    }

    fn new(operation: &'a str, outcome: &'a str) -> Event<'a> {
        Event {
            operation,
            outcome,
            actor: None,
            details: Map::new(),
        }
    }

    /// Sets the actor.
    pub fn by(mut self, user_id: Id) -> Event<'a> {
        self.actor = Some(user_id);
        self
    }

    /// Adds the API keys that ended together with it, if any.
    pub fn with_ended_keys(self, key_ids: &[Id]) -> Event<'a> {
        if key_ids.is_empty() {
            return self;
        }
        let ids = key_ids.iter().map(Id::to_string);
        self.detail("ended_api_keys", ids.collect::<Vec<_>>())
    }

    /// Adds a detail.
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Event<'a> {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// The end of a chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last record.
    pub seq: u64,
    /// The seal of the last record.
    pub seal: String,
}

/// Stands for the account of a name, or of another input, that belongs to no account. It
/// is a pseudonym, so that no input can choose the chain that it is recorded in.
#[derive(Clone, Copy, Debug)]
pub struct UnknownAccount(Id);

impl UnknownAccount {
    /// Returns the same pseudonym for the same kind of input and the same text.
    pub fn new(kind: &str, text: &str, ports: &Ports) -> Result<UnknownAccount> {
        let pseudonym = mac::pseudonym(&["nobody", kind, text], ports)?;
        Ok(UnknownAccount(Id::from_bytes(pseudonym)))
    }

    /// Returns the pseudonymous id, which no account has.
    pub fn id(self) -> Id {
        self.0
    }
}

/// The chain of one account, as far as needed to append to it.
#[derive(Clone, Debug)]
pub struct Chain {
    account: Id,
    head: Found<Head>,
    ttl_ms: Option<u64>,
}

impl Chain {
    /// The id of the chain that records changes that belong to no account, such as those
    /// of roles and signing keys: all zeros.
    pub fn shared() -> Id {
        Id::from_bytes([0; 16])
    }

    /// Returns the store key of the head of an account's chain.
    pub fn head_key(account: Id) -> String {
        format!("audit-head/{account}")
    }

    /// Returns the store key of a record of an account's chain.
    pub fn record_key(account: Id, seq: u64) -> String {
        format!("{}{seq:012}", Chain::record_prefix(account))
    }

    /// Returns the prefix of all records of an account's chain, which sort in their order.
    pub fn record_prefix(account: Id) -> String {
        format!("{RECORDS}{account}/")
    }

    /// Begins a chain.
    pub fn new(account: Id) -> Chain {
        Chain::at(account, None)
    }

    /// Returns a chain with the head that was read.
    pub fn at(account: Id, head: Found<Head>) -> Chain {
        Chain {
            account,
            head,
            ttl_ms: None,
        }
    }

    /// Returns the chain of an unknown name: the same work for the store, but kept only
    /// for a day.
    pub fn of_unknown(unknown: UnknownAccount, head: Found<Head>) -> Chain {
        Chain {
            ttl_ms: Some(UNKNOWN_TTL_MS),
            ..Chain::at(unknown.id(), head)
        }
    }

    fn is_of_account(&self) -> bool {
        self.ttl_ms.is_none() && self.account != Chain::shared()
    }

    /// Adds the record of an event to the batch, on the condition that nothing else has
    /// happened to the account since the head was read.
    pub fn append(&self, event: Event, batch: &mut Batch, call: &Call) -> Result<()> {
        if self.is_of_account() {
            call.record_account(self.account);
        }
        let (seq, previous, expect) = match &self.head {
            None => (1, String::new(), Expect::Absent),
            Some(Stored { value, version, .. }) => (
                value.seq + 1,
                value.seal.clone(),
                Expect::At(version.clone()),
            ),
        };
        let standing = call.standing.as_ref();
        let agent = standing.and_then(|standing| standing.agent());
        let mut record = AuditRecord {
            seq,
            at: call.now(),
            account: self.account,
            operation: event.operation.to_owned(),
            outcome: event.outcome.to_owned(),
            actor: match event.actor {
                Some(user_id) => user_id.to_string(),
                None => call.actor_id().name(),
            },
            session_id: match call.actor_id() {
                ActorId::User { session_id, .. } => Some(session_id),
                ActorId::Anonymous | ActorId::ApiKey(_) | ActorId::Operator => None,
            },
            client_id: agent.and_then(|agent| agent.client_id.clone()),
            approval_id: call.approval_id,
            source: call.caller.source.to_string(),
            details: event.details,
            previous,
            seal: String::new(),
        };
        record.seal = seal(&record, call)?;
        let head = Head {
            seq,
            seal: record.seal.clone(),
        };
        batch.audit_line(json::text(&record));
        batch.put(
            Chain::record_key(self.account, seq),
            Expect::Absent,
            &record,
            self.ttl_ms,
        );
        batch.put(Chain::head_key(self.account), expect, &head, self.ttl_ms);
        Ok(())
    }
}

/// The subject of an operation that was refused.
#[derive(Clone, Copy, Debug)]
pub enum AuditSubject {
    /// The owner of this account.
    Account(Id),
    /// No account.
    Unknown(UnknownAccount),
}

impl AuditSubject {
    fn id(self) -> Id {
        match self {
            AuditSubject::Account(user_id) => user_id,
            AuditSubject::Unknown(unknown) => unknown.id(),
        }
    }
}

/// Counts a refusal, and returns the event to record, or `None` if there were too many
/// within the hour to record this one.
pub fn count_refusal<'a>(
    event: Event<'a>,
    subject: AuditSubject,
    call: &Call,
) -> Result<Option<Event<'a>>> {
    if let AuditSubject::Account(user_id) = subject {
        call.record_account(user_id);
    }
    let counter = format!("refusals/{}/{}", subject.id(), event.operation);
    let store = call.ports.store;
    let refused = store.add(&counter, 1, Some(REFUSALS_WINDOW_MS))?;
    Ok(match refused {
        ..REFUSALS_IN_FULL => Some(event),
        REFUSALS_IN_FULL => Some(event.detail(REFUSALS, refused)),
        _ if is_power_of_ten(refused) => Some(event.detail(REFUSALS, refused)),
        _ => None,
    })
}

fn is_power_of_ten(number: i64) -> bool {
    number > 0 && 10_i64.pow(number.ilog10()) == number
}

/// Records a refusal in the chain of the account. For an unknown account the work is the
/// same, and the chain is kept for a day. Frequent refusals within an hour are not all
/// recorded.
pub fn record_refusal(event: Event, subject: AuditSubject, call: &Call) -> Result<()> {
    let Some(event) = count_refusal(event, subject, call)? else {
        return Ok(());
    };
    let id = subject.id();
    call::retry_on_conflict(call, |call| {
        let head = record::read(Chain::head_key(id), &call.ports)?;
        let chain = match subject {
            AuditSubject::Account(user_id) => Chain::at(user_id, head),
            AuditSubject::Unknown(unknown) => Chain::of_unknown(unknown, head),
        };
        let mut batch = Batch::new();
        chain.append(event.clone(), &mut batch, call)?;
        Ok(call.commit(batch)?.then(()))
    })
}

/// Returns the seal that a record should have, regardless of the seal that it carries.
pub(super) fn seal_of(record: &AuditRecord, env: &Env) -> Result<String> {
    let unsealed = AuditRecord {
        seal: String::new(),
        ..record.clone()
    };
    seal(&unsealed, env)
}

fn seal(record: &AuditRecord, env: &Env) -> Result<String> {
    let seal = mac::of("audit-chain", &json::to_vec(record), &env.ports)?;
    Ok(mac::to_hex(&seal))
}
