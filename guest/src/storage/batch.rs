//! Batches of changes, which are committed whole.

use serde::Serialize;

use super::ground::{self, Ground};
use super::record::Stored;
use crate::error::{AuthError, Result};
use crate::ports::{Expect, Mutation, Outcome, Ports, Severity};

/// What the batches of an actor expect besides what they say themselves.
pub trait CommitGuard {
    /// Makes a batch expect it. Returns `false` when the batch contradicts it.
    fn join(&self, mutations: &mut Vec<Mutation>) -> bool;

    /// Whether it expects that nothing is stored under this mark.
    fn rests_on(&self, mark: &str) -> bool;
}

type AfterCommit = Box<dyn FnOnce(&Ports)>;

/// Changes that happen together or not at all.
#[derive(Default)]
pub struct Batch {
    mutations: Vec<Mutation>,
    /// The marks of what it takes from what power rests on.
    marks: Vec<String>,
    /// Whether it changes such a record without saying what it takes.
    is_unmarked: bool,
    audit_lines: Vec<String>,
    after_commit: Vec<AfterCommit>,
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

    /// What to do once the batch is committed.
    pub fn after_commit(&mut self, effect: impl FnOnce(&Ports) + 'static) {
        self.after_commit.push(Box::new(effect));
    }

    /// Commits, if the authority of the actor is what it was. Returns `false` when a race
    /// was lost: nothing happened, and all that was read has to be read again.
    pub fn commit(mut self, guard: Option<&dyn CommitGuard>, ports: &Ports) -> Result<bool> {
        if self.is_unmarked {
            let text = "a batch would change what power rests on without its mark";
            let telemetry = ports.telemetry;
            telemetry.log(Severity::Error, text, &Default::default());
            return Err(AuthError::unavailable(60));
        }
        if guard.is_some_and(|guard| !guard.join(&mut self.mutations)) {
            return Ok(false);
        }
        if ports.store.commit(&self.mutations)? != Outcome::Committed {
            self.announce(guard, ports)?;
            return Ok(false);
        }
        for line in &self.audit_lines {
            ports.telemetry.audited(line);
        }
        for effect in self.after_commit {
            effect(ports);
        }
        Ok(true)
    }

    /// After a lost race: stores what the batch would under the marks, so that the
    /// actors that it stops do not overtake it for ever. Those that the actor's own power
    /// rests on are left out, which would stop this change too. Where a mark is there
    /// already, it was overtaken by another stop, and leaves all as it is.
    fn announce(&self, guard: Option<&dyn CommitGuard>, ports: &Ports) -> Result<()> {
        let marks = self.marks.iter();
        let of_others = marks.filter(|mark| guard.is_none_or(|guard| !guard.rests_on(mark)));
        let mut announced: Vec<Mutation> = of_others
            .map(|mark| Mutation {
                key: mark.clone(),
                expect: Expect::Absent,
                put: Some(to_bytes(&())),
                ttl_ms: Some(ground::ANNOUNCED_TTL_MS),
            })
            .collect();
        if !announced.is_empty() && guard.is_none_or(|guard| guard.join(&mut announced)) {
            ports.store.commit(&announced)?;
        }
        Ok(())
    }
}

/// What is stored of a value.
fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    // Only a map with keys that are no strings fails here, and no record has one.
    serde_json::to_vec(value).unwrap_or_default()
}
