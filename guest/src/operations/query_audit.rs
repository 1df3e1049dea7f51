use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Effect, Operation, TABLE, Toolset};
use crate::dispatch::target;
use crate::domain::access::actor::Requirement;
use crate::domain::access::authority::{self, ActorCall};
use crate::domain::accounts::permission::{AUDIT_READ, Permission};
use crate::domain::accounts::username::Username;
use crate::domain::audit::{self, AuditRecord, Chain, event_name};
use crate::domain::clients::client_id::ClientId;
use crate::error::{AuthError, FieldError, Result};
use crate::storage::record;
use crate::types::id::Id;
use crate::types::moment::Moment;

/// Maximum number of records that one call examines, whether or not they match.
const EXAMINED: u32 = 500;

/// Reads the audit trail of an account, page by page. A page may be short or even empty
/// and still have a `next`: pass it as `after` to continue.
///
/// Your own trail requires a session, and those of others `user-auth:audit:read`; with
/// that permission and without an account, all trails are read one after the other.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryAudit {
    /// The account whose trail to read, by id; or use `username`.
    #[serde(default)]
    pub user_id: Option<Id>,
    /// The account whose trail to read, by user name; or use `user_id`.
    #[serde(default)]
    pub username: Option<Username>,
    /// Only records of this operation.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub operation: Option<EventName>,
    /// Only records of this actor: a user id, `api-key/` and a key id, `operator` or
    /// `anonymous`.
    #[serde(default)]
    pub actor: Option<String>,
    /// Only records at or after this time (RFC 3339).
    #[serde(default)]
    pub since: Option<Moment>,
    /// Only records before this time (RFC 3339).
    #[serde(default)]
    pub until: Option<Moment>,
    /// The `next` of the previous page.
    #[serde(default)]
    pub after: Option<String>,
    /// The maximum number of records to return, 1 to 100; 50 by default.
    #[serde(default)]
    pub limit: Limit,
}

/// A name that audit records can have: an operation, or another event.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct EventName(String);

/// The maximum number of records, 1 to 100.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(with = "u64", extend("minimum" = 1, "maximum" = 100))]
pub struct Limit(usize);

/// A page of audit records.
#[derive(Serialize, JsonSchema)]
pub struct AuditPage {
    /// The records of an account, in the order in which they were written.
    pub records: Vec<AuditRecordView>,
    /// The `after` of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An event in the audit trail of an account.
#[derive(Serialize, JsonSchema)]
pub struct AuditRecordView {
    /// The account whose trail contains the record; a pseudonym for a failed login with
    /// an unknown user name, and all zeros for roles and signing keys.
    pub user_id: Id,
    /// The number of the record in its trail, counted from 1.
    pub seq: u64,
    /// The time (RFC 3339).
    pub at: String,
    /// The operation that was called.
    pub operation: String,
    /// `success`, or the reason for the refusal.
    pub outcome: String,
    /// The actor: `anonymous`, `operator`, `api-key/…`, or a user id.
    pub actor: String,
    /// The session of the actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id>,
    /// The OAuth client that acted for the actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// The approval of the call, if the user had to approve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<Id>,
    /// The source of the call: the caller's address, or this machine.
    pub source: String,
    /// Further details.
    pub details: Map<String, Value>,
    /// The seal of the previous record; empty for the first.
    pub previous: String,
    /// The seal of this record.
    pub seal: String,
}

impl Operation for QueryAudit {
    const NAME: &'static str = "query_audit";
    const TITLE: &'static str = "Read the audit trail";
    const TOOLSET: Option<Toolset> = Some(Toolset::Audit);
    const EFFECT: Effect = Effect::Reads;
    const REQUIRES: Requirement = Requirement::SessionOr(AUDIT_READ);
    type Output = AuditPage;

    fn run(self, call: &ActorCall) -> Result<AuditPage> {
        let ports = &call.ports;
        let prefix = self.prefix(call)?;
        let after = self.after.as_deref().map(key_of).transpose()?;
        let page = ports.store.scan(&prefix, after.as_deref(), EXAMINED)?;
        let mut last = page.next;
        let mut entries = page.entries.into_iter().peekable();
        let mut found = Vec::new();
        while let Some(entry) = entries.next() {
            let key = entry.key.clone();
            let record = record::parse::<AuditRecord>(Some(entry), ports)?;
            let wanted = record.filter(|record| self.wants(&record.value));
            found.extend(wanted.map(|record| AuditRecordView::from(record.value)));
            if found.len() == self.limit.0 && (entries.peek().is_some() || last.is_some()) {
                last = Some(key);
                break;
            }
        }
        Ok(AuditPage {
            records: found,
            next: last.map(|key| key.replacen(audit::RECORDS, "", 1)),
        })
    }
}

impl QueryAudit {
    /// Returns the common prefix of all keys that the actor asks for and may read.
    fn prefix(&self, call: &ActorCall) -> Result<String> {
        let username = self.username.as_ref();
        let named = target::named(self.user_id, username, AUDIT_READ, call)?;
        if named.is_none() && authority::may(&Permission::own(AUDIT_READ), call)? {
            return Ok(audit::RECORDS.to_owned());
        }
        let user_id = authority::subject(named, AUDIT_READ, call)?;
        Ok(Chain::record_prefix(user_id))
    }

    fn wants(&self, record: &AuditRecord) -> bool {
        let operation = self.operation.as_ref().map(|EventName(name)| name);
        operation.is_none_or(|wanted| *wanted == record.operation)
            && (self.actor.as_ref()).is_none_or(|wanted| *wanted == record.actor)
            && self
                .since
                .is_none_or(|since| record.at >= since.timestamp())
            && self.until.is_none_or(|until| record.at < until.timestamp())
    }
}

/// Returns the store key of a cursor, which is an account and a number.
fn key_of(cursor: &str) -> Result<String> {
    let parts = cursor.split_once('/').and_then(|(account, seq)| {
        let is_number = seq.len() == 12 && seq.bytes().all(|b| b.is_ascii_digit());
        let account = Id::try_from(account.to_owned()).ok()?;
        let seq = is_number.then(|| seq.parse().ok()).flatten()?;
        Some(Chain::record_key(account, seq))
    });
    parts.ok_or_else(|| {
        let problem = "expected the `next` of the previous page";
        AuthError::invalid(vec![FieldError::new("after", problem)])
    })
}

/// A misspelt name would match nothing, and look as if nothing had happened.
impl TryFrom<String> for EventName {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<EventName, Self::Error> {
        let mut known = TABLE.iter().map(|it| it.name).chain(event_name::ALL);
        if known.any(|known| known == name) {
            return Ok(EventName(name));
        }
        let others = event_name::ALL.join(", ");
        Err(format!("expected the name of an operation, or {others}"))
    }
}

impl Default for Limit {
    fn default() -> Limit {
        Limit(50)
    }
}

impl TryFrom<u64> for Limit {
    type Error = &'static str;

    fn try_from(limit: u64) -> std::result::Result<Limit, Self::Error> {
        match usize::try_from(limit) {
            Ok(limit @ 1..=100) => Ok(Limit(limit)),
            _ => Err("expected 1 to 100"),
        }
    }
}

impl From<AuditRecord> for AuditRecordView {
    fn from(record: AuditRecord) -> AuditRecordView {
        AuditRecordView {
            user_id: record.account,
            seq: record.seq,
            at: record.at.to_rfc3339(),
            operation: record.operation,
            outcome: record.outcome,
            actor: record.actor,
            session_id: record.session_id,
            client_id: record.client_id,
            approval_id: record.approval_id,
            source: record.source,
            details: record.details,
            previous: record.previous,
            seal: record.seal,
        }
    }
}
