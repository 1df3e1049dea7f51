//! Batches of changes, which are committed atomically.

use std::time::Duration;

use serde::Serialize;

use super::ground::{self, AuthoritySource};
use super::record::Stored;
use super::retry::Race;
use crate::error::{AuthError, Result};
use crate::json;
use crate::ports::{Expect, Mutation, Outcome, Ports, Severity};

/// Further conditions for the batches of an actor, besides those of their own mutations.
pub trait CommitGuard {
    /// Adds the conditions to the mutations of a batch. Returns `false` if they contradict
    /// the batch's own conditions.
    fn join(&self, mutations: &mut Vec<Mutation>) -> bool;

    /// Reports whether one of the conditions is that nothing is stored under this marker
    /// key.
    fn rests_on(&self, mark: &str) -> bool;
}

/// The outcome of the commit of a batch.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All its changes are durable.
    Done,
    /// Nothing was changed, and everything that was read must be read again.
    Conflict,
}

impl Commit {
    /// Ends an attempt, with this value if the batch was committed.
    pub fn then<T>(self, value: T) -> Race<T> {
        match self {
            Commit::Done => Race::Won(value),
            Commit::Conflict => Race::Lost,
        }
    }
}

type AfterCommit = Box<dyn FnOnce(&Ports)>;

/// Changes that are all committed or not at all.
#[derive(Default)]
pub struct Batch {
    mutations: Vec<Mutation>,
    /// The markers of the authority that the batch takes away.
    marks: Vec<String>,
    /// Whether the batch changes an authority record without writing its marker.
    is_unmarked: bool,
    audit_lines: Vec<String>,
    after_commit: Vec<AfterCommit>,
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
        self.write(new.record_key(), expect, Some(json::to_vec(new)), None)
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
        let put = Some(json::to_vec(&()));
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
        self.write(key, expect, Some(json::to_vec(value)), ttl_ms)
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

    /// Adds an effect to run after the batch is committed.
    pub fn after_commit(&mut self, effect: impl FnOnce(&Ports) + 'static) {
        self.after_commit.push(Box::new(effect));
    }

    /// Commits the batch if the authority of the actor is unchanged.
    pub fn commit(mut self, guard: Option<&dyn CommitGuard>, ports: &Ports) -> Result<Commit> {
        if self.is_unmarked {
            let text = "a batch would change an authority record without writing its marker";
            let telemetry = ports.telemetry;
            telemetry.log(Severity::Error, text, &Default::default());
            return Err(AuthError::unavailable(Duration::from_secs(60)));
        }
        if guard.is_some_and(|guard| !guard.join(&mut self.mutations)) {
            return Ok(Commit::Conflict);
        }
        if ports.store.commit(&self.mutations)? != Outcome::Committed {
            self.announce(guard, ports)?;
            return Ok(Commit::Conflict);
        }
        for line in &self.audit_lines {
            ports.telemetry.audited(line);
        }
        for effect in self.after_commit {
            effect(ports);
        }
        Ok(Commit::Done)
    }

    /// Writes the markers of the batch after a lost race, so that the actors that it stops
    /// cannot overtake it forever. Markers that the actor's own authority depends on are
    /// left out, since they would stop this change too. If a marker already exists,
    /// another stop overtook this one, and nothing is written.
    fn announce(&self, guard: Option<&dyn CommitGuard>, ports: &Ports) -> Result<()> {
        let marks = self.marks.iter();
        let of_others = marks.filter(|mark| guard.is_none_or(|guard| !guard.rests_on(mark)));
        let mut announced: Vec<Mutation> = of_others
            .map(|mark| Mutation {
                key: mark.clone(),
                expect: Expect::Absent,
                put: Some(json::to_vec(&())),
                ttl_ms: Some(ground::ANNOUNCED_TTL_MS),
            })
            .collect();
        if !announced.is_empty() && guard.is_none_or(|guard| guard.join(&mut announced)) {
            ports.store.commit(&announced)?;
        }
        Ok(())
    }
}
