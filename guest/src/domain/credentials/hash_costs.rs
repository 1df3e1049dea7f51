//! Which kinds and costs of password hashes there are: those of imported hashes, each
//! for as long as an account has one, and our own, which the settings may have changed
//! since.
//!
//! A login to an account takes the time of the hash that it has. For a name that
//! nobody has, a login must take a time that an account could take as well: so each
//! such name is given one of these costs, or that of a new hash, always the same
//! one, and its login does that work.
//!
//! A cost goes with its last account, or a name that takes a time which no account
//! takes would have no owner for sure. So accounts are counted by the cost of their
//! imported hash, in the batch that stores the hash or replaces it. Those with a hash of
//! ours are not: every registration would contend for the count. A cost of ours from
//! before the settings changed therefore stays.
//!
//! What this does not hide: a name whose logins change from a foreign time to ours
//! either had an owner, who has logged in between, or its cost has gone; and of the
//! names that take over a cost at the moment when it is imported for the first time,
//! those that were not imported have no owner. An attacker would have had to time them
//! before.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::foreign_hash::Cost;
use super::password::{HASH_BYTES, PasswordRecord};
use crate::domain::audit::UnknownAccount;
use crate::domain::context::{self, Context};
use crate::error::Result;
use crate::ports::{Expect, Ports};
use crate::settings::Settings;
use crate::storage::batch::Batch;
use crate::storage::record::{self, Found};

/// Imported costs at a time. A name without an account can take only the time of what is
/// in the record, so that what is not in it cannot be imported.
const MAX: usize = 32;
/// What to say of one more.
pub const TOO_MANY: &str = "password_hash: accounts have imported hashes of 32 kinds and costs, \
     and of no other can one be imported until the last account of one of these has logged in";

/// The record. Argon2id takes the same time with our pepper and without, so that
/// what is ours need not be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Lists", into = "Lists")]
pub struct HashCosts {
    costs: Vec<Place>,
}

/// A cost in its place, which says which names are given it. A place that has become
/// vacant is kept, so that the names of the others stay theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    cost: Cost,
    /// How many accounts have an imported hash of it. `None`: it is one of ours, or was
    /// stored before there was a count, and stays.
    accounts: Option<u64>,
}

/// The places as they are stored.
#[derive(Serialize, Deserialize)]
struct Lists {
    costs: Vec<Cost>,
    #[serde(default)]
    accounts: Vec<Option<u64>>,
}

impl From<Lists> for HashCosts {
    fn from(lists: Lists) -> HashCosts {
        let counts = lists.accounts.into_iter().chain(std::iter::repeat(None));
        let places = lists.costs.into_iter().zip(counts);
        HashCosts {
            costs: places
                .map(|(cost, accounts)| Place { cost, accounts })
                .collect(),
        }
    }
}

impl From<HashCosts> for Lists {
    fn from(known: HashCosts) -> Lists {
        let places = known.costs.into_iter();
        let (costs, accounts) = places.map(|place| (place.cost, place.accounts)).unzip();
        Lists { costs, accounts }
    }
}

impl Place {
    fn is_vacant(&self) -> bool {
        self.accounts == Some(0)
    }
}

impl HashCosts {
    /// Where it is stored.
    pub fn key() -> String {
        "known-costs".to_owned()
    }

    /// As it is stored now.
    pub fn read(ports: &Ports) -> Result<HashCosts> {
        Ok(HashCosts::of(record::read(HashCosts::key(), ports)?))
    }

    /// Of the record as it was found.
    pub fn of(found: Found<HashCosts>) -> HashCosts {
        found.map(|found| found.value).unwrap_or_default()
    }

    /// The cost of a name that nobody has; `None`: as our own hashes. One more cost
    /// takes over its share of the names, and leaves the others where they were.
    pub fn of_nobody(&self, nobody: UnknownAccount) -> Option<Cost> {
        let mut chosen = None;
        for (index, place) in self.costs.iter().enumerate() {
            if !place.is_vacant() && draw(nobody, index).is_multiple_of(index as u64 + 2) {
                chosen = Some(place.cost);
            }
        }
        chosen
    }

    /// Adds the cost of our own hashes, before an account has one: it will still be
    /// there when the settings have changed.
    pub fn learn_own(context: &Context) -> Result<()> {
        context::settle(context, |context| {
            let mut held = Held::read(&context.ports)?;
            held.known.add_own(context.settings);
            if held.is_as_it_was() {
                return Ok(Some(()));
            }
            let mut batch = Batch::new();
            held.store(&mut batch);
            Ok(context.commit(batch)?.then_some(()))
        })
    }

    /// The same, where the record is held.
    pub fn add_own(&mut self, settings: &Settings) {
        self.put(Place {
            cost: Cost::Argon2id(settings.argon2_parameters(HASH_BYTES)),
            accounts: None,
        });
    }

    /// Counts one more account with an imported hash of this cost. False: there are as
    /// many costs as there may be.
    pub fn add(&mut self, cost: Cost) -> bool {
        if let Some(place) = self.costs.iter_mut().find(|place| place.cost == cost) {
            place.accounts = place.accounts.map(|accounts| accounts.saturating_add(1));
            return true;
        }
        let is_imported = |place: &&Place| place.accounts.is_some_and(|accounts| accounts > 0);
        if self.costs.iter().filter(is_imported).count() >= MAX {
            return false;
        }
        self.put(Place {
            cost,
            accounts: Some(1),
        });
        true
    }

    fn remove(&mut self, cost: Cost) {
        if let Some(place) = self.costs.iter_mut().find(|place| place.cost == cost) {
            place.accounts = place.accounts.map(|accounts| accounts.saturating_sub(1));
        }
    }

    /// In the place of the same cost, or else in one that is vacant.
    fn put(&mut self, new: Place) {
        let mut places = self.costs.iter();
        let same = places.position(|place| place.cost == new.cost);
        let index = same.or_else(|| self.costs.iter().position(Place::is_vacant));
        match index {
            Some(index) => self.costs[index] = new,
            None => self.costs.push(new),
        }
    }
}

/// The record as it was read, to be stored in the batch of what changes it.
pub struct Held {
    /// As it is to be.
    pub known: HashCosts,
    was: Found<HashCosts>,
}

impl Held {
    /// Reads it.
    pub fn read(ports: &Ports) -> Result<Held> {
        let was = record::read::<HashCosts>(HashCosts::key(), ports)?;
        Ok(Held {
            known: HashCosts::of(was.clone()),
            was,
        })
    }

    /// Stores it in the batch, which fails if it was changed since it was read. If it
    /// is to stay as it was, the batch has nothing to do with it.
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

    /// Whether it was not changed since it was read.
    pub fn is_current(&self, ports: &Ports) -> Result<bool> {
        let now = record::read::<HashCosts>(HashCosts::key(), ports)?;
        let version = |found: &Found<HashCosts>| found.as_ref().map(|it| it.version.clone());
        Ok(version(&now) == version(&self.was))
    }
}

/// Counts one account less with a hash of the cost of this one, in the batch that takes
/// it from the account. A hash of ours is not counted.
pub fn release(password: &PasswordRecord, batch: &mut Batch, ports: &Ports) -> Result<()> {
    let Some(cost) = password.imported_cost() else {
        return Ok(());
    };
    let mut held = Held::read(ports)?;
    held.known.remove(cost);
    held.store(batch);
    Ok(())
}

/// A number that is the same for the same name and place, and tells nothing of
/// the one for another place.
fn draw(nobody: UnknownAccount, place: usize) -> u64 {
    let mut hash = Sha256::new();
    hash.update(nobody.id().as_bytes());
    hash.update((place as u64).to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(number)
}
