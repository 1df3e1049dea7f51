//! The places for connections. When all are taken, a newcomer gets that of the
//! connection that has been of no use for longest: otherwise whoever opens many
//! and sends nothing would keep everybody else out. Sources that have more than their
//! share lose theirs first: otherwise whoever opens many, and sends a byte on each now
//! and then, would have those of everybody else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::patience::Debts;
use crate::source::Source;

/// When all connections are owed an answer, how soon to look again for one that
/// has got it and has nothing more to ask.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// So many connections may be open at one time.
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

/// The place of one connection, given back when it is dropped.
pub(super) struct Place {
    number: u64,
    occupant: Occupant,
    taken: Arc<Taken>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Taken {
    occupants: Mutex<Occupants>,
    next: AtomicU64,
}

#[derive(Default)]
struct Occupants {
    all: HashMap<u64, Occupant>,
    /// How many there are of each source, and of all sources.
    of: HashMap<Source, usize>,
    of_sources: usize,
}

/// A connection that has a place.
#[derive(Clone)]
struct Occupant {
    /// `None`: one that speaks for many.
    source: Option<Source>,
    debts: Debts,
    evicted: CancellationToken,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            taken: Arc::default(),
        }
    }

    /// A place for a new connection from this source, or from one that speaks for many.
    /// If there is none, somebody has to leave; if all are owed an answer, the newcomer
    /// waits for one of them.
    pub(super) async fn take(&self, source: Option<Source>) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let number = self.taken.next.fetch_add(1, Relaxed);
        let occupant = Occupant {
            source,
            debts: Debts::default(),
            evicted: CancellationToken::new(),
        };
        self.taken.lock().insert(number, occupant.clone());
        Place {
            number,
            occupant,
            taken: Arc::clone(&self.taken),
            _permit: permit,
        }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        loop {
            self.taken.evict();
            let place = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = timeout(SECOND_LOOK, place).await {
                return permit;
            }
        }
    }
}

impl Place {
    /// What the connection in this place owes: while it owes an answer, it stays.
    pub(super) fn debts(&self) -> &Debts {
        &self.occupant.debts
    }

    /// Completes when the place is for somebody else.
    pub(super) async fn evicted(&self) {
        self.occupant.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.lock().remove(self.number);
    }
}

impl Occupants {
    fn insert(&mut self, number: u64, occupant: Occupant) {
        if let Some(source) = occupant.source {
            *self.of.entry(source).or_default() += 1;
            self.of_sources += 1;
        }
        self.all.insert(number, occupant);
    }

    fn remove(&mut self, number: u64) {
        let source = self.all.remove(&number).and_then(|gone| gone.source);
        if let Some(source) = source
            && let Entry::Occupied(mut count) = self.of.entry(source)
        {
            self.of_sources -= 1;
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether this one is of a source that has more than all would have if each had
    /// as many.
    fn is_of_too_many(&self, occupant: &Occupant) -> bool {
        let count = occupant.source.and_then(|source| self.of.get(&source));
        count.is_some_and(|count| count * self.of.len() > self.of_sources)
    }
}

impl Taken {
    /// Sends away the connection that has been owed nothing for longest, or else the
    /// one that has not read what it is owed, of a source that has too many if there is
    /// one.
    fn evict(&self) {
        // A look at every connection, but only when all places are taken: that
        // costs less than an order kept for each request of each connection.
        let occupants = self.lock();
        let rank = |occupant: &Occupant| {
            let little_use = occupant.debts.little_use()?;
            Some((!occupants.is_of_too_many(occupant), little_use))
        };
        let idlest = occupants
            .all
            .values()
            .filter(|occupant| !occupant.evicted.is_cancelled())
            .filter_map(|occupant| Some((rank(occupant)?, occupant)))
            .min_by_key(|(rank, _)| *rank);
        if let Some((_, occupant)) = idlest {
            occupant.evicted.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Occupants> {
        // Nothing under the lock can panic between two changes.
        self.occupants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn the_idlest_leaves_and_who_is_owed_an_answer_stays() {
        let places = Places::new(3);
        let take = || places.take(None);
        let (first, second, third) = tokio::join!(take(), take(), take());
        let debt = first.debts().owe();
        // Not idle for as long as the third, although it came before.
        drop(second.debts().owe());
        assert!(take().now_or_never().is_none());
        assert!(third.evicted().now_or_never().is_some());
        assert!(second.evicted().now_or_never().is_none());
        drop(third);
        let fourth = take().now_or_never().unwrap();

        let newcomer = take();
        let mut newcomer = std::pin::pin!(newcomer);
        assert!(newcomer.as_mut().now_or_never().is_none());
        assert!(second.evicted().now_or_never().is_some());
        assert!(first.evicted().now_or_never().is_none());
        assert!(fourth.evicted().now_or_never().is_none());
        drop(debt);
        drop(second);
        assert!(newcomer.now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_has_more_than_a_share_leaves_before_who_is_idler() {
        let places = Places::new(6);
        let of = |number| places.take(Some(Source::V4(number)));
        // A proxy speaks for many, however many connections it has.
        let idlest = (
            of(1).await,
            places.take(None).await,
            places.take(None).await,
        );
        let many = [of(2).await, of(2).await, of(2).await];
        assert!(of(3).now_or_never().is_none());
        assert!(many[0].evicted().now_or_never().is_some());
        let [first, second, third] = many;
        drop(first);
        let newcomer = of(3).now_or_never().unwrap();
        assert!(of(4).now_or_never().is_none());
        assert!(second.evicted().now_or_never().is_some());
        drop(second);
        let other = of(4).now_or_never().unwrap();
        // Now nobody has more than one: the idlest leaves.
        assert!(of(5).now_or_never().is_none());
        assert!(idlest.0.evicted().now_or_never().is_some());
        drop((idlest, third, newcomer, other));
        let occupants = places.taken.lock();
        assert!(occupants.all.is_empty() && occupants.of.is_empty());
    }
}
