//! Whether a chain of audit records is as it was written.
//!
//! Each record carries its number and the seal of the one before it, under a seal
//! that only the component can make, and the head says which is the last. So no
//! record can be altered, moved or left out unnoticed, be it the last. Only who
//! puts back the tail and the head together, to what both once were, is not found
//! out by the chain itself, but by the audit lines that the host has kept.

use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::domain::audit::{self, AuditRecord, Chain, Head};
use crate::domain::context::Context;
use crate::error::Result;
use crate::json;
use crate::ports::Entry;
use crate::types::id::Id;

/// How many records one call looks at.
pub const PAGE: u32 = 500;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// It is not what was sealed.
    Altered,
    /// It is not there, and later ones are.
    Dropped,
    /// It is a genuine record from another place.
    Reordered,
    /// It is genuine, and does not follow the one before it.
    Unlinked,
    /// It is not there, nor any after it, and the head of the chain knows of it.
    Truncated,
    /// It is the last one, and the head of the chain is gone.
    HeadMissing,
    /// It is the last one, and the head of the chain says otherwise.
    HeadAltered,
}

/// Where a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// The number of the first record that is not as it should be.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: Problem,
}

/// A record that was found genuine, which the next one has to follow.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number; 0: none, the chain begins.
    pub seq: u64,
    /// Its seal; empty: none.
    pub seal: String,
}

/// What one page has shown.
pub struct Checked {
    /// How many records it looked at.
    pub examined: u64,
    /// How that ended.
    pub found: Found,
}

/// How the check of a page ended.
#[derive(Debug)]
pub enum Found {
    /// The chain ends here, and is as it was written.
    End,
    /// So far it is; it goes on after this record.
    More(Link),
    /// Something is wrong.
    Broken(Broken),
}

/// Checks up to [`PAGE`] records of an account's chain after a genuine one.
pub fn check(account: Id, after: Link, context: &Context) -> Result<Checked> {
    let prefix = Chain::record_prefix(account);
    let from = Chain::record_key(account, after.seq);
    let page = context.ports.store.scan(&prefix, Some(&from), PAGE)?;
    let mut last = after;
    let mut examined = 0;
    for entry in &page.entries {
        examined += 1;
        match follow(account, &last, entry, context)? {
            Ok(link) => last = link,
            Err(broken) => {
                let found = Found::Broken(broken);
                return Ok(Checked { examined, found });
            }
        }
    }
    let found = match page.next {
        Some(_) => Found::More(last),
        None => end(account, last, context)?,
    };
    Ok(Checked { examined, found })
}

/// Holds the record of an entry against the one before it.
fn follow(
    account: Id,
    last: &Link,
    entry: &Entry,
    context: &Context,
) -> Result<std::result::Result<Link, Broken>> {
    let seq = last.seq.saturating_add(1);
    let broken = |problem| Ok(Err(Broken { seq, problem }));
    let key = Chain::record_key(account, seq);
    if entry.key > key {
        return broken(Problem::Dropped);
    }
    // Byte by byte as it was written: what is read out of it need not be all
    // that somebody put in.
    let record = json::from_slice::<AuditRecord>(&entry.value)
        .ok()
        .filter(|record| serde_json::to_vec(record).is_ok_and(|bytes| bytes == entry.value));
    let Some(record) = record.filter(|_| entry.key == key) else {
        return broken(Problem::Altered);
    };
    let seal = audit::seal_of(&record, context)?;
    if !bool::from(seal.as_bytes().ct_eq(record.seal.as_bytes())) {
        return broken(Problem::Altered);
    }
    if record.seq != seq || record.account != account {
        return broken(Problem::Reordered);
    }
    if record.previous != last.seal {
        return broken(Problem::Unlinked);
    }
    Ok(Ok(Link { seq, seal }))
}

/// Whether the chain ends with this record. It may have grown since that was
/// read, so the head and the record after it are read together.
fn end(account: Id, last: Link, context: &Context) -> Result<Found> {
    let broken = |seq, problem| Ok(Found::Broken(Broken { seq, problem }));
    let seq = last.seq.saturating_add(1);
    let keys = [Chain::head_key(account), Chain::record_key(account, seq)];
    let mut entries = context.ports.store.get(&keys)?.into_iter();
    let head = entries.next().flatten();
    let grown = entries.next().flatten().is_some();
    let Some(head) = head else {
        return match last.seq {
            0 => broken(1, Problem::Truncated),
            last => broken(last, Problem::HeadMissing),
        };
    };
    let Ok(head) = json::from_slice::<Head>(&head.value) else {
        return broken(last.seq, Problem::HeadAltered);
    };
    match head.seq.checked_sub(last.seq) {
        Some(0) if head.seal == last.seal => Ok(Found::End),
        Some(1..) if grown => Ok(Found::More(last)),
        Some(1..) => broken(seq, Problem::Truncated),
        _ => broken(last.seq, Problem::HeadAltered),
    }
}
