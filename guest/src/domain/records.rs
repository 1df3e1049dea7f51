//! Typed records over the store, and batches that are committed atomically.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Context;
use super::ground::{self, AuthoritySource};
use super::message;
use crate::error::{AuthError, Result};
use crate::json;
use crate::ports::{Entry, Expect, Message, Mutation, Outcome, Ports, Severity, Version};

/// The most changes that may overtake one operation on one account: each lost race means
/// that another change succeeded.
const MAX_ATTEMPTS: usize = 100;

/// A record and its version.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// The version, for `Expect::At`.
    pub version: Version,
}

/// A record with its version, or `None` if it does not exist.
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

/// Parses the record of an entry. A record that cannot be parsed is a fault of the store,
/// and never treated as one that does not exist.
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

/// Logs that a stored record cannot be read, and returns an error that tells the caller
/// nothing about it.
pub fn unreadable(what: &str, ports: &Ports) -> AuthError {
    let fields = json::fields([("what", what.into())]);
    ports
        .telemetry
        .log(Severity::Error, "a stored record cannot be read", &fields);
    AuthError::unavailable(60)
}

/// Changes that are all committed or not at all.
#[derive(Default)]
pub struct Batch {
    mutations: Vec<Mutation>,
    /// The markers of the authority that the batch takes away.
    marks: Vec<String>,
    /// Whether the batch changes an authority record without writing its marker.
    is_unmarked: bool,
    audit_lines: Vec<String>,
    notices: Vec<Message>,
}

impl Batch {
    /// Creates an empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Creates a record that must not exist yet.
    pub fn create<T: Serialize>(&mut self, key: String, value: &T) -> &mut Batch {
        self.put(key, Expect::Absent, value, None)
    }

    /// Replaces a record that must be as it was read.
    pub fn replace<T: Serialize>(&mut self, key: String, version: &str, value: &T) -> &mut Batch {
        self.put(key, Expect::At(version.to_owned()), value, None)
    }

    /// Creates an authority record that must not exist now, but may have existed before.
    pub fn create_again<T: AuthoritySource>(&mut self, new: &T) -> &mut Batch {
        self.delete(new.mark(), Expect::Any);
        self.create(new.record_key(), new)
    }

    /// Changes an authority record that must be as it was read. If the change takes
    /// authority away, its marker is written, which stops the actors that depend on it.
    pub fn change<T: AuthoritySource>(&mut self, old: &Stored<T>, new: &T) -> &mut Batch {
        let (before, after) = (old.value.mark(), new.mark());
        if before != after {
            self.mark(before);
            // The record may return to its state before the last change.
            self.delete(after, Expect::Any);
        }
        let expect = Expect::At(old.version.clone());
        self.write(new.record_key(), expect, Some(to_bytes(new)), None)
    }

    /// Deletes an authority record that must be as it was read.
    pub fn end<T: AuthoritySource>(&mut self, old: &Stored<T>) -> &mut Batch {
        self.mark(old.value.mark());
        let expect = Expect::At(old.version.clone());
        self.write(old.value.record_key(), expect, None, None)
    }

    /// Writes a marker that lives longer than any call.
    pub fn mark(&mut self, mark: String) -> &mut Batch {
        self.marks.push(mark.clone());
        let put = Some(to_bytes(&()));
        self.write(mark, Expect::Any, put, Some(ground::MARK_TTL_MS))
    }

    /// Writes a record with all options. An authority record can only be created in this
    /// way, not changed.
    pub fn put<T: Serialize>(
        &mut self,
        key: String,
        expect: Expect,
        value: &T,
        ttl_ms: Option<u64>,
    ) -> &mut Batch {
        self.is_unmarked |= ground::is_authority_source(&key) && expect != Expect::Absent;
        self.write(key, expect, Some(to_bytes(value)), ttl_ms)
    }

    /// Deletes a record if the expectation holds.
    pub fn delete(&mut self, key: String, expect: Expect) -> &mut Batch {
        self.is_unmarked |= ground::is_authority_source(&key);
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

    /// Adds a line to pass to the host after the batch is committed.
    pub fn audit_line(&mut self, line: String) {
        self.audit_lines.push(line);
    }

    /// Adds a message to send after the batch is committed.
    pub fn notice(&mut self, message: Message) {
        self.notices.push(message);
    }

    /// Commits the batch if the authority of the actor is unchanged. Returns `false` if a
    /// race was lost: nothing was changed, and everything that was read must be read
    /// again.
    pub fn commit(mut self, context: &Context) -> Result<bool> {
        if self.is_unmarked {
            let text = "a batch would change an authority record without writing its marker";
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
            // The change is committed even if the message fails.
            let _ = message::deliver(notice, context);
        }
        Ok(true)
    }

    /// Writes the markers of the batch after a lost race, so that the actors that it stops
    /// cannot overtake it forever. Markers that the actor's own authority depends on are
    /// left out, since they would stop this change too. If a marker already exists,
    /// another stop overtook this one, and nothing is written.
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

/// Serialises a value for the store.
fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Only maps whose keys are not strings fail here, and no record contains one.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Repeats an attempt until it wins its race; an attempt returns `None` when it lost.
pub fn retry_on_conflict<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    for _ in 0..MAX_ATTEMPTS {
        if let Some(settled) = attempt()? {
            return Ok(settled);
        }
    }
    Err(AuthError::unavailable(1))
}
