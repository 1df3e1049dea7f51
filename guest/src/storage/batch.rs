//! Typed records over the store, and batches that are committed whole.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ground::{self, Ground};
use crate::domain::context::Context;
use crate::domain::notify;
use crate::error::{AuthError, Result};
use crate::json;
use crate::ports::{Entry, Expect, Message, Mutation, Outcome, Ports, Severity, Version};

/// Each lost race means that another change went through, so that this is the
/// number of changes that may overtake one operation on one account.
const TRIES: usize = 100;

/// A record, and which writing of it this is.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// For `Expect::At`.
    pub version: Version,
}

/// A record as it was found; `None`: there is none.
pub type Found<T> = Option<Stored<T>>;

/// Reads one record.
pub fn read<T: DeserializeOwned>(key: String, ports: &Ports) -> Result<Found<T>> {
    let mut entries = ports.store.get(&[key])?;
    parse(entries.pop().flatten(), ports)
}

/// Reads two records of different types as one snapshot.
pub fn read_both<A: DeserializeOwned, B: DeserializeOwned>(
    keys: [String; 2],
    ports: &Ports,
) -> Result<(Found<A>, Found<B>)> {
    let mut entries = ports.store.get(&keys)?;
    let second = entries.pop().flatten();
    let first = entries.pop().flatten();
    Ok((parse(first, ports)?, parse(second, ports)?))
}

/// Reads three records of different types as one snapshot.
pub fn read_three<A: DeserializeOwned, B: DeserializeOwned, C: DeserializeOwned>(
    keys: [String; 3],
    ports: &Ports,
) -> Result<(Found<A>, Found<B>, Found<C>)> {
    let mut entries = ports.store.get(&keys)?;
    let third = entries.pop().flatten();
    let second = entries.pop().flatten();
    let first = entries.pop().flatten();
    Ok((
        parse(first, ports)?,
        parse(second, ports)?,
        parse(third, ports)?,
    ))
}

/// Makes a record of an entry. One that cannot be read is a fault of the
/// store, and never the same as one that is not there.
pub fn parse<T: DeserializeOwned>(entry: Option<Entry>, ports: &Ports) -> Result<Found<T>> {
    let Some(entry) = entry else {
        return Ok(None);
    };
    match json::from_slice(&entry.value) {
        Ok(value) => Ok(Some(Stored {
            value,
            version: entry.version,
        })),
        Err(_) => Err(unreadable(&entry.key, ports)),
    }
}

/// What is stored cannot be read. The log says what, the caller learns nothing.
pub fn unreadable(what: &str, ports: &Ports) -> AuthError {
    let fields = json::fields([("what", what.into())]);
    ports
        .telemetry
        .log(Severity::Error, "a stored record cannot be read", &fields);
    AuthError::unavailable(60)
}

/// Changes that happen together or not at all.
#[derive(Default)]
pub struct Batch {
    mutations: Vec<Mutation>,
    /// The marks of what it takes from what power rests on.
    marks: Vec<String>,
    /// Whether it changes such a record without saying what it takes.
    is_unmarked: bool,
    audit_lines: Vec<String>,
    notices: Vec<Message>,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// A record that must not be there yet.
    pub fn create<T: Serialize>(&mut self, key: String, value: &T) -> &mut Batch {
        self.put(key, Expect::Absent, value, None)
    }

    /// A record that must be as it was read.
    pub fn replace<T: Serialize>(&mut self, key: String, version: &str, value: &T) -> &mut Batch {
        self.put(key, Expect::At(version.to_owned()), value, None)
    }

    /// A record that power rests on, which must not be there, and may have been.
    pub fn create_again<T: Ground>(&mut self, new: &T) -> &mut Batch {
        self.delete(new.mark(), Expect::Any);
        self.create(new.record_key(), new)
    }

    /// A record that power rests on, which must be as it was read. If less rests on it
    /// than before, so that actors are stopped, its mark says so.
    pub fn change<T: Ground>(&mut self, old: &Stored<T>, new: &T) -> &mut Batch {
        let (before, after) = (old.value.mark(), new.mark());
        if before != after {
            self.mark(before);
            // It may be what it was before the last change.
            self.delete(after, Expect::Any);
        }
        let expect = Expect::At(old.version.clone());
        self.write(new.record_key(), expect, Some(to_bytes(new)), None)
    }

    /// Deletes a record that power rests on, which must be as it was read.
    pub fn end<T: Ground>(&mut self, old: &Stored<T>) -> &mut Batch {
        self.mark(old.value.mark());
        let expect = Expect::At(old.version.clone());
        self.write(old.value.record_key(), expect, None, None)
    }

    /// Stores something under a mark, for as long as a call can last.
    pub fn mark(&mut self, mark: String) -> &mut Batch {
        self.marks.push(mark.clone());
        let put = Some(to_bytes(&()));
        self.write(mark, Expect::Any, put, Some(ground::MARK_TTL_MS))
    }

    /// A record, with all that can be said of it. One that power rests on is created
    /// this way at most.
    pub fn put<T: Serialize>(
        &mut self,
        key: String,
        expect: Expect,
        value: &T,
        ttl_ms: Option<u64>,
    ) -> &mut Batch {
        self.is_unmarked |= ground::is_ground(&key) && expect != Expect::Absent;
        self.write(key, expect, Some(to_bytes(value)), ttl_ms)
    }

    /// Deletes a record, if the expectation holds.
    pub fn delete(&mut self, key: String, expect: Expect) -> &mut Batch {
        self.is_unmarked |= ground::is_ground(&key);
        self.write(key, expect, None, None)
    }

    fn write(
        &mut self,
        key: String,
        expect: Expect,
        put: Option<Vec<u8>>,
        ttl_ms: Option<u64>,
    ) -> &mut Batch {
        self.mutations.push(Mutation {
            key,
            expect,
            put,
            ttl_ms,
        });
        self
    }

    /// A line to hand to the host once the batch is committed.
    pub fn audit_line(&mut self, line: String) {
        self.audit_lines.push(line);
    }

    /// A message to send once the batch is committed.
    pub fn notice(&mut self, message: Message) {
        self.notices.push(message);
    }

    /// Commits, if the authority of the actor is what it was. Returns `false` when a race
    /// was lost: nothing happened, and all that was read has to be read again.
    pub fn commit(mut self, context: &Context) -> Result<bool> {
        if self.is_unmarked {
            let text = "a batch would change what power rests on without its mark";
            let telemetry = context.ports.telemetry;
            telemetry.log(Severity::Error, text, &Default::default());
            return Err(AuthError::unavailable(60));
        }
        if !context.authority.join(&mut self.mutations) {
            return Ok(false);
        }
        if context.ports.store.commit(&self.mutations)? != Outcome::Committed {
            self.announce(context)?;
            return Ok(false);
        }
        for line in &self.audit_lines {
            context.ports.telemetry.audited(line);
        }
        for notice in self.notices {
            // What has happened does not depend on the message.
            let _ = notify::deliver(notice, context);
        }
        Ok(true)
    }

    /// After a lost race: stores what the batch would under the marks, so that the
    /// actors that it stops do not overtake it for ever. Those that the actor's own power
    /// rests on are left out, which would stop this change too. Where a mark is there
    /// already, it was overtaken by another stop, and leaves all as it is.
    fn announce(&self, context: &Context) -> Result<()> {
        let marks = self.marks.iter();
        let of_others = marks.filter(|mark| !context.authority.rests_on(mark));
        let mut announced: Vec<Mutation> = of_others
            .map(|mark| Mutation {
                key: mark.clone(),
                expect: Expect::Absent,
                put: Some(to_bytes(&())),
                ttl_ms: Some(ground::ANNOUNCED_TTL_MS),
            })
            .collect();
        if !announced.is_empty() && context.authority.join(&mut announced) {
            context.ports.store.commit(&announced)?;
        }
        Ok(())
    }
}

/// What is stored of a value.
fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Only a map with keys that are no strings fails here, and no record has one.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Tries until an attempt is not overtaken: `None` says that it lost a race.
pub fn settle<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..TRIES {
        if let Some(settled) = attempt()? {
            return Ok(settled);
        }
    }
    Err(AuthError::unavailable(1))
}
