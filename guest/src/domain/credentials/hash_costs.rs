//! The kinds and costs of password hashes that accounts may have: those of imported
//! hashes, each for as long as an account has one, and those of this service, which the
//! settings may have changed over time.
//!
//! Verifying a password takes as long as that account's hash demands. To hide whether an
//! account exists, a login with an unknown name must take a plausible time too: each such
//! name is assigned one of these costs, or that of a new hash, always the same one, and
//! its login does that work.
//!
//! A cost is removed with its last account; otherwise a name that takes a time that no
//! account takes would be known to be unused. So accounts are counted by the cost of their
//! imported hash, in the batch that stores or replaces the hash. Accounts with a hash of
//! this service are not counted, because every registration would contend for the count. A
//! cost of this service from before a change of the settings therefore stays.
//!
//! This does not hide two things. If the logins of a name change from a foreign time to
//! ours, the name either had an owner, who has logged in since, or its cost was removed.
//! And of the names that take over a cost when it is first imported, those that were not
//! imported have no owner. In both cases an attacker must have timed the names before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::foreign_hash::Cost;
use super::password::{HASH_BYTES, PasswordRecord};
use crate::domain::audit::UnknownAccount;
use crate::domain::call::{self, Call};
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::settings::Settings;
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found};
use crate::storage::retry::Race;

/// The most imported costs at a time. A name without an account can only take the time of
/// a recorded cost, so a cost that cannot be recorded cannot be imported.
const MAX: usize = 32;
/// The error for one more cost.
pub const TOO_MANY: &str = "password_hash: accounts have imported hashes of 32 kinds and costs, \
     and of no other can one be imported until the last account of one of these has logged in";

/// The stored record of costs. Argon2id takes the same time with and without a pepper, so
/// hashes of this service need not be distinguished.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Lists", into = "Lists")]
pub struct HashCosts {
    costs: Vec<CostEntry>,
}

/// A cost at its index, which determines the names that it is assigned to. A vacant entry
/// is kept, so that the names of the others do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CostEntry {
    cost: Cost,
    /// The number of accounts with an imported hash of this cost. `None` for a cost of
    /// this service, or one that was stored before accounts were counted; such a cost
    /// stays.
    accounts: Option<u64>,
}

/// The entries as stored.
#[derive(Serialize, Deserialize)]
struct Lists {
    costs: Vec<Cost>,
    #[serde(default)]
    accounts: Vec<Option<u64>>,
}

impl From<Lists> for HashCosts {
    fn from(lists: Lists) -> HashCosts {
        let counts = lists.accounts.into_iter().chain(std::iter::repeat(None));
        let entries = lists.costs.into_iter().zip(counts);
        HashCosts {
            costs: entries
                .map(|(cost, accounts)| CostEntry { cost, accounts })
                .collect(),
        }
    }
}

impl From<HashCosts> for Lists {
    fn from(known: HashCosts) -> Lists {
        let entries = known.costs.into_iter();
        let (costs, accounts) = entries.map(|entry| (entry.cost, entry.accounts)).unzip();
        Lists { costs, accounts }
    }
}

impl CostEntry {
    fn is_vacant(&self) -> bool {
        self.accounts == Some(0)
    }
}

impl HashCosts {
    /// Returns the store key of the record.
    pub fn key() -> String {
        "known-costs".to_owned()
    }

    /// Reads the record.
    pub fn read(ports: &Ports) -> Result<HashCosts> {
        Ok(HashCosts::of(record::read(HashCosts::key(), ports)?))
    }

    /// Returns the costs of a record that was read.
    pub fn of(found: Found<HashCosts>) -> HashCosts {
        found.map(|found| found.value).unwrap_or_default()
    }

    /// Returns the cost assigned to an unknown name; `None` stands for this service's own
    /// hashes. A further cost takes over its share of the names, and leaves the others
    /// unchanged.
    pub fn decoy_for(&self, unknown: UnknownAccount) -> Option<Cost> {
        let mut chosen = None;
        for (index, entry) in self.costs.iter().enumerate() {
            if !entry.is_vacant() && draw(unknown, index).is_multiple_of(index as u64 + 2) {
                chosen = Some(entry.cost);
            }
        }
        chosen
    }

    /// Adds the cost of this service's own hashes before an account has one, so that it is
    /// still known after the settings change.
    pub fn learn_own(call: &Call) -> Result<()> {
        call::retry_on_conflict(call, |call| {
            let mut held = Held::read(&call.ports)?;
            held.known.add_own(call.settings);
            if held.is_as_it_was() {
                return Ok(Race::Won(()));
            }
            let mut batch = Batch::new();
            held.store(&mut batch);
            Ok(call.commit(batch)?.then(()))
        })
    }

    /// Adds the same cost to this record, without storing it.
    pub fn add_own(&mut self, settings: &Settings) {
        self.put(CostEntry {
            cost: Cost::Argon2id(settings.argon2_parameters(HASH_BYTES)),
            accounts: None,
        });
    }

    /// Counts one more account with an imported hash of this cost. Returns `false` if the
    /// maximum number of costs is reached.
    pub fn add(&mut self, cost: Cost) -> bool {
        if let Some(entry) = self.costs.iter_mut().find(|entry| entry.cost == cost) {
            entry.accounts = entry.accounts.map(|accounts| accounts.saturating_add(1));
            return true;
        }
        let is_imported = |entry: &&CostEntry| entry.accounts.is_some_and(|accounts| accounts > 0);
        if self.costs.iter().filter(is_imported).count() >= MAX {
            return false;
        }
        self.put(CostEntry {
            cost,
            accounts: Some(1),
        });
        true
    }

    fn remove(&mut self, cost: Cost) {
        if let Some(entry) = self.costs.iter_mut().find(|entry| entry.cost == cost) {
            entry.accounts = entry.accounts.map(|accounts| accounts.saturating_sub(1));
        }
    }

    /// Stores an entry at the index of the same cost, or else at a vacant one.
    fn put(&mut self, new: CostEntry) {
        let mut entries = self.costs.iter();
        let same = entries.position(|entry| entry.cost == new.cost);
        let index = same.or_else(|| self.costs.iter().position(CostEntry::is_vacant));
        match index {
            Some(index) => self.costs[index] = new,
            None => self.costs.push(new),
        }
    }
}

/// The record as it was read, to be stored in the batch of the change that updates it.
pub struct Held {
    /// The new state.
    pub known: HashCosts,
    was: Found<HashCosts>,
}

impl Held {
    /// Reads the record.
    pub fn read(ports: &Ports) -> Result<Held> {
        let was = record::read::<HashCosts>(HashCosts::key(), ports)?;
        Ok(Held {
            known: HashCosts::of(was.clone()),
            was,
        })
    }

    /// Stores the record in the batch, which fails if the record has changed since it was
    /// read. Adds nothing to the batch if the record is unchanged.
    pub fn store(&self, batch: &mut Batch) {
        if self.is_as_it_was() {
            return;
        }
        let expect = match &self.was {
            Some(was) => Expect::At(was.version.clone()),
            None => Expect::Absent,
        };
        batch.put(HashCosts::key(), expect, &self.known, None);
    }

    fn is_as_it_was(&self) -> bool {
        match &self.was {
            Some(was) => was.value == self.known,
            None => self.known.costs.is_empty(),
        }
    }

    /// Reports whether the stored record is still as it was read.
    pub fn is_current(&self, ports: &Ports) -> Result<bool> {
        let now = record::read::<HashCosts>(HashCosts::key(), ports)?;
        let version = |found: &Found<HashCosts>| found.as_ref().map(|it| it.version.clone());
        Ok(version(&now) == version(&self.was))
    }
}

/// Counts one account less with the cost of this hash, in the batch that removes the hash
/// from the account. Hashes of this service are not counted.
pub fn release(password: &PasswordRecord, batch: &mut Batch, ports: &Ports) -> Result<()> {
    let Some(cost) = password.imported_cost() else {
        return Ok(());
    };
    let mut held = Held::read(ports)?;
    held.known.remove(cost);
    held.store(batch);
    Ok(())
}

/// Returns a number that is always the same for the same name and index, and reveals
/// nothing about the number for another index.
fn draw(unknown: UnknownAccount, entry: usize) -> u64 {
    let mut hash = Sha256::new();
    hash.update(unknown.id().as_bytes());
    hash.update((entry as u64).to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(number)
}
