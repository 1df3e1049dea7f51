//! Verification of a chain of audit records.
//!
//! Each record carries its number and the seal of the previous one, under a seal that only
//! the component can make, and the head states which record is the last. So no record, not
//! even the last, can be altered, moved or removed unnoticed. If an attacker restores the
//! tail and the head together to an earlier state, the chain itself does not reveal that,
//! but the audit lines that the host has kept do.

use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq;

use crate::domain::audit::{self, AuditRecord, Chain, Head};
use crate::domain::env::Env;
use crate::error::Result;
use crate::json;
use crate::ports::Entry;
use crate::types::id::Id;

/// The number of records that one call examines.
pub const PAGE: u32 = 500;

/// A defect of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The record is not what was sealed.
    Altered,
    /// The record is missing, and later ones exist.
    Dropped,
    /// The record is genuine, but belongs to another place.
    Reordered,
    /// The record is genuine, but does not follow the previous one.
    Unlinked,
    /// The record and all later ones are missing, although the head of the chain counts
    /// them.
    Truncated,
    /// The record is the last one, and the head of the chain is missing.
    HeadMissing,
    /// The record is the last one, and the head of the chain contradicts it.
    HeadAltered,
}

/// The place where a chain is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// The number of the first defective record.
    pub seq: u64,
    /// The defect.
    pub problem: Problem,
}

/// A record that was verified, which the next one has to follow.
#[derive(Clone, Debug)]
pub struct Link {
    /// The number of the record; 0 at the beginning of a chain.
    pub seq: u64,
    /// The seal of the record; empty at the beginning of a chain.
    pub seal: String,
}

/// The result of checking one page.
pub struct Checked {
    /// The number of records that were examined.
    pub examined: u64,
    /// How the check ended.
    pub found: Found,
}

/// How the check of a page ended.
#[derive(Debug)]
pub enum Found {
    /// The chain ends here, and is intact.
    End,
    /// The chain is intact up to this record, and continues after it.
    More(Link),
    /// The chain is broken.
    Broken(Broken),
}

/// Checks up to [`PAGE`] records of an account's chain after a verified one.
pub fn check(account: Id, after: Link, env: &Env) -> Result<Checked> {
    let prefix = Chain::record_prefix(account);
    let from = Chain::record_key(account, after.seq);
    let page = env.ports.store.scan(&prefix, Some(&from), PAGE)?;
    let mut last = after;
    let mut examined = 0;
    for entry in &page.entries {
        examined += 1;
        match follow(account, &last, entry, env)? {
            Ok(link) => last = link,
            Err(broken) => {
                let found = Found::Broken(broken);
                return Ok(Checked { examined, found });
            }
        }
    }
    let found = match page.next {
        Some(_) => Found::More(last),
        None => end(account, last, env)?,
    };
    Ok(Checked { examined, found })
}

/// Checks that the record of an entry follows the previous one.
fn follow(
    account: Id,
    last: &Link,
    entry: &Entry,
    env: &Env,
) -> Result<std::result::Result<Link, Broken>> {
    let seq = last.seq.saturating_add(1);
    let broken = |problem| Ok(Err(Broken { seq, problem }));
    let key = Chain::record_key(account, seq);
    if entry.key > key {
        return broken(Problem::Dropped);
    }
    // Compares the bytes as they were written, because parsing could ignore something that
    // was added.
    let record = json::from_slice::<AuditRecord>(&entry.value)
        .ok()
        .filter(|record| json::to_vec(record) == entry.value);
    let Some(record) = record.filter(|_| entry.key == key) else {
        return broken(Problem::Altered);
    };
    let seal = audit::seal_of(&record, env)?;
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

/// Checks that the chain ends with this record. The chain may have grown since the record
/// was read, so the head and the next record are read together.
fn end(account: Id, last: Link, env: &Env) -> Result<Found> {
    let broken = |seq, problem| Ok(Found::Broken(Broken { seq, problem }));
    let seq = last.seq.saturating_add(1);
    let keys = [Chain::head_key(account), Chain::record_key(account, seq)];
    let mut entries = env.ports.store.get(&keys)?.into_iter();
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
