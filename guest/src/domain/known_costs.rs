//! Which kinds and costs of password hashes there are: of those that were ever
//! imported, and our own, which the settings may have changed since.
//!
//! A login to an account takes the time of the hash that it has. For a name that
//! nobody has, a login must take a time that an account could take as well: so each
//! such name is given one of these costs, or that of a new hash, always the same
//! one, and its login does that work.
//!
//! What this does not hide: a name whose logins change from a foreign time to ours
//! has an owner, who has logged in between; and of the names that take over a cost
//! at the moment when it is imported for the first time, those that were not
//! imported have none. Somebody would have had to time them before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::audit::Nobody;
use super::authority;
use super::context::Context;
use super::foreign_hash::Cost;
use super::password::HASH_BYTES;
use super::records::{self, Batch, Found};
use crate::error::Result;
use crate::ports::{Expect, Ports};

/// So many may there be. A name that nobody has can be given only what is in the
/// record, so that what is not in it cannot be imported.
const MAX: usize = 32;
/// What to say of one more.
pub const TOO_MANY: &str = "password_hash: 32 kinds and costs of password hashes have been \
     imported, and no other can be";

/// The record. Argon2id takes the same time with our pepper and without, so that
/// what is ours need not be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCosts {
    costs: Vec<Cost>,
}

impl KnownCosts {
    /// Where it is stored.
    pub fn key() -> String {
        "known-costs".to_owned()
    }

    /// As it is stored now.
    pub fn read(ports: &Ports) -> Result<KnownCosts> {
        Ok(KnownCosts::of(records::read(KnownCosts::key(), ports)?))
    }

    /// Of the record as it was found.
    pub fn of(found: Found<KnownCosts>) -> KnownCosts {
        found.map(|found| found.value).unwrap_or_default()
    }

    /// Whether a cost is in it.
    pub fn contains(&self, cost: Cost) -> bool {
        self.costs.contains(&cost)
    }

    /// The cost of a name that nobody has; `None`: as our own hashes. One more cost
    /// takes over its share of the names, and leaves the others where they were.
    pub fn of_nobody(&self, nobody: Nobody) -> Option<Cost> {
        let mut chosen = None;
        for (index, cost) in self.costs.iter().enumerate() {
            if draw(nobody, index).is_multiple_of(index as u64 + 2) {
                chosen = Some(*cost);
            }
        }
        chosen
    }

    /// Adds the cost of our own hashes, before an account has one: it will still be
    /// there when the settings have changed.
    pub fn learn_own(context: &Context) -> Result<()> {
        let own = Cost::Argon2id(context.settings.argon2_parameters(HASH_BYTES));
        if !KnownCosts::read(&context.ports)?.contains(own) {
            KnownCosts::learn(own, context)?;
        }
        Ok(())
    }

    /// Adds a cost for good, before the first account has it. False: there are as
    /// many as there may be.
    pub fn learn(cost: Cost, context: &Context) -> Result<bool> {
        authority::settle(context, |context| {
            let found = records::read::<KnownCosts>(KnownCosts::key(), &context.ports)?;
            let expect = match &found {
                Some(found) => Expect::At(found.version.clone()),
                None => Expect::Absent,
            };
            let mut known = KnownCosts::of(found);
            if known.contains(cost) {
                return Ok(Some(true));
            }
            if known.costs.len() >= MAX {
                return Ok(Some(false));
            }
            known.costs.push(cost);
            let mut batch = Batch::new();
            batch.put(KnownCosts::key(), expect, &known, None);
            Ok(batch.commit(context)?.then_some(true))
        })
    }
}

/// A number that is the same for the same name and place, and tells nothing of
/// the one for another place.
fn draw(nobody: Nobody, place: usize) -> u64 {
    let mut hash = Sha256::new();
    hash.update(nobody.id().as_bytes());
    hash.update((place as u64).to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(number)
}
