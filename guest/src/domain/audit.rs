//! The audit trail: for each account a chain of records, each sealed together
//! with the one before it under a derived key. The record of a change is part of
//! the batch that makes the change, so nothing happens unaudited and nothing is
//! audited that did not happen.
//!
//! Every change of an account, its sessions included, moves the head of its
//! chain, and so the head is what settles races between them: who has read the
//! head before all else, and commits on it, has seen the account as it is.

pub mod verify;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::context::{self, Context};
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found, Stored};
use crate::types::id::Id;
use crate::types::mac;
use crate::types::time::Timestamp;

/// How long is kept what was tried on a name that nobody has.
const NOBODY_TTL_MS: u64 = 24 * 60 * 60 * 1000;

/// Refusals of one operation on one account that are recorded one by one, within an hour
/// from the first. Of those that follow, the hundredth, the thousandth and so on are
/// recorded, with how many there were.
///
/// Strangers can be refused as often as they like. They must not fill the chain, nor
/// move its head so often that an operation of its owner loses all its races
/// (`records::MAX_ATTEMPTS`): in a whole hour, all operations that refuse strangers together
/// move it less often than that.
pub const REFUSALS_IN_FULL: i64 = 20;
const REFUSALS_WINDOW_MS: u64 = 60 * 60 * 1000;
/// The detail of a record that says how many refusals there were, itself included.
const REFUSALS: &str = "refusals_within_the_hour";

/// All records of all chains.
pub const RECORDS: &str = "audit/";

/// One thing that happened to an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Counted from 1 in each account's chain.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Whose chain it is in.
    pub account: Id,
    /// The operation that made the change.
    pub operation: String,
    /// `success`, or what was refused.
    pub outcome: String,
    /// Who did it: `anonymous`, `operator`, `api-key/…`, or a user id.
    pub actor: String,
    /// From where.
    pub source: String,
    /// What else is of use; never a secret.
    pub details: Map<String, Value>,
    /// The seal of the record before this; empty for the first.
    pub previous: String,
    /// HMAC-SHA256 over all of the above, in hexadecimal.
    pub seal: String,
}

/// What there is to say of an event.
#[derive(Clone)]
pub struct Event<'a> {
    /// The operation.
    pub operation: &'a str,
    /// `success`, or what was refused.
    pub outcome: &'a str,
    /// Who did it, where the operation knows better than its context.
    pub actor: Option<Id>,
    /// What else is of use; never a secret.
    pub details: Map<String, Value>,
}

impl<'a> Event<'a> {
    /// Something that went well.
    pub fn success(operation: &'a str) -> Event<'a> {
        Event::new(operation, "success")
    }

    /// Something that did not.
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

    /// Says who did it.
    pub fn by(mut self, user_id: Id) -> Event<'a> {
        self.actor = Some(user_id);
        self
    }

    /// Adds which API keys ended with it, if there were any.
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

/// Where a chain ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Of the last record.
    pub seq: u64,
    /// Of the last record.
    pub seal: String,
}

/// Stands for the account of a name, or of whatever else somebody sent, that
/// nobody has. It is a pseudonym, so that no input can say whose chain it is.
#[derive(Clone, Copy, Debug)]
pub struct UnknownAccount(Id);

impl UnknownAccount {
    /// The same for the same kind of input and the same text.
    pub fn new(kind: &str, text: &str, ports: &Ports) -> Result<UnknownAccount> {
        let pseudonym = mac::pseudonym(&["nobody", kind, text], ports)?;
        Ok(UnknownAccount(Id::from_bytes(pseudonym)))
    }

    /// Of an account that there is not.
    pub fn id(self) -> Id {
        self.0
    }
}

/// The chain of one account, as far as it is needed to go on with it.
#[derive(Clone, Debug)]
pub struct Chain {
    account: Id,
    head: Found<Head>,
    ttl_ms: Option<u64>,
}

impl Chain {
    /// Whose chain records what belongs to no account, which is roles and signing
    /// keys: that of the id that is all zeros.
    pub fn shared() -> Id {
        Id::from_bytes([0; 16])
    }

    /// Where the head of an account's chain is stored.
    pub fn head_key(account: Id) -> String {
        format!("audit-head/{account}")
    }

    /// Where a record of an account's chain is stored.
    pub fn record_key(account: Id, seq: u64) -> String {
        format!("{}{seq:012}", Chain::record_prefix(account))
    }

    /// All records of an account's chain, in their order.
    pub fn record_prefix(account: Id) -> String {
        format!("{RECORDS}{account}/")
    }

    /// A chain that begins.
    pub fn new(account: Id) -> Chain {
        Chain::at(account, None)
    }

    /// A chain with its head as it was read.
    pub fn at(account: Id, head: Found<Head>) -> Chain {
        Chain {
            account,
            head,
            ttl_ms: None,
        }
    }

    /// The chain of a name that nobody has: the same work for the store, kept
    /// for a day.
    pub fn of_nobody(nobody: UnknownAccount, head: Found<Head>) -> Chain {
        Chain {
            ttl_ms: Some(NOBODY_TTL_MS),
            ..Chain::at(nobody.id(), head)
        }
    }

    fn is_of_account(&self) -> bool {
        self.ttl_ms.is_none() && self.account != Chain::shared()
    }

    /// Adds the record of an event to the batch, and with it the condition that
    /// nothing else happened to the account since the head was read.
    pub fn append(&self, event: Event, batch: &mut Batch, context: &Context) -> Result<()> {
        if self.is_of_account() {
            context.trail.concerns(self.account);
        }
        let (seq, previous, expect) = match &self.head {
            None => (1, String::new(), Expect::Absent),
            Some(Stored { value, version, .. }) => (
                value.seq + 1,
                value.seal.clone(),
                Expect::At(version.clone()),
            ),
        };
        let mut record = AuditRecord {
            seq,
            at: context.now(),
            account: self.account,
            operation: event.operation.to_owned(),
            outcome: event.outcome.to_owned(),
            actor: match event.actor {
                Some(user_id) => user_id.to_string(),
                None => context.actor_id().name(),
            },
            source: context.caller.source.as_str().to_owned(),
            details: event.details,
            previous,
            seal: String::new(),
        };
        record.seal = seal(&record, context)?;
        let head = Head {
            seq,
            seal: record.seal.clone(),
        };
        batch.audit_line(serde_json::to_string(&record).unwrap_or_default());
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

/// Whom something that was refused was about.
#[derive(Clone, Copy, Debug)]
pub enum AuditSubject {
    /// The owner of this account.
    Account(Id),
    /// Nobody.
    UnknownAccount(UnknownAccount),
}

impl AuditSubject {
    fn id(self) -> Id {
        match self {
            AuditSubject::Account(user_id) => user_id,
            AuditSubject::Unknown(nobody) => nobody.id(),
        }
    }
}

/// Counts a refusal, and returns the event as it is to be recorded; `None` when there
/// were so many within the hour that this one is not.
pub fn count_refusal<'a>(
    event: Event<'a>,
    whom: AuditSubject,
    context: &Context,
) -> Result<Option<Event<'a>>> {
    if let AuditSubject::Account(user_id) = whom {
        context.trail.concerns(user_id);
    }
    let counter = format!("refusals/{}/{}", whom.id(), event.operation);
    let store = context.ports.store;
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

/// Records that something was refused: in the chain of the account, or for an
/// account that there is not, with the same work, in one that is kept for a day. Of
/// many within one hour not each is recorded.
pub fn record_refusal(event: Event, whom: AuditSubject, context: &Context) -> Result<()> {
    let Some(event) = count_refusal(event, whom, context)? else {
        return Ok(());
    };
    let id = whom.id();
    context::settle(context, |context| {
        let head = record::read(Chain::head_key(id), &context.ports)?;
        let chain = match whom {
            AuditSubject::Account(user_id) => Chain::at(user_id, head),
            AuditSubject::Unknown(nobody) => Chain::of_unknown(nobody, head),
        };
        let mut batch = Batch::new();
        chain.append(event.clone(), &mut batch, context)?;
        Ok(context.commit(batch)?.then_some(()))
    })
}

/// The seal that belongs to a record; the one that it carries does not count.
pub(super) fn seal_of(record: &AuditRecord, context: &Context) -> Result<String> {
    let unsealed = AuditRecord {
        seal: String::new(),
        ..record.clone()
    };
    seal(&unsealed, context)
}

fn seal(record: &AuditRecord, context: &Context) -> Result<String> {
    let unsealed = serde_json::to_vec(record).unwrap_or_default();
    let seal = mac::of("audit-chain", &unsealed, &context.ports)?;
    Ok(mac::to_hex(&seal))
}
