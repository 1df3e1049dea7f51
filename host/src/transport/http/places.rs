//! The places for connections. When all are taken, a newcomer gets that of the
//! connection that has been of no use for longest: otherwise whoever opens many
//! and sends nothing would keep everybody else out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::patience::Debts;

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
    occupants: Mutex<HashMap<u64, Occupant>>,
    next: AtomicU64,
}

/// A connection that has a place.
#[derive(Clone, Default)]
struct Occupant {
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

    /// A place for a new connection. If there is none, somebody has to leave; if
    /// all are owed an answer, the newcomer waits for one of them.
    pub(super) async fn take(&self) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let number = self.taken.next.fetch_add(1, Relaxed);
        let occupant = Occupant::default();
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
        self.taken.lock().remove(&self.number);
    }
}

impl Taken {
    /// Sends away the connection that has been owed nothing for longest, or else the
    /// one that has not read what it is owed.
    fn evict(&self) {
        // A look at every connection, but only when all places are taken: that
        // costs less than an order kept for each request of each connection.
        let occupants = self.lock();
        let idlest = occupants
            .values()
            .filter(|occupant| !occupant.evicted.is_cancelled())
            .filter_map(|occupant| Some((occupant.debts.little_use()?, occupant)))
            .min_by_key(|(little_use, _)| *little_use);
        if let Some((_, occupant)) = idlest {
            occupant.evicted.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Occupant>> {
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
        let (first, second, third) = tokio::join!(places.take(), places.take(), places.take());
        let debt = first.debts().owe();
        // Not idle for as long as the third, although it came before.
        drop(second.debts().owe());
        assert!(places.take().now_or_never().is_none());
        assert!(third.evicted().now_or_never().is_some());
        assert!(second.evicted().now_or_never().is_none());
        drop(third);
        let fourth = places.take().now_or_never().unwrap();

        let newcomer = places.take();
        let mut newcomer = std::pin::pin!(newcomer);
        assert!(newcomer.as_mut().now_or_never().is_none());
        assert!(second.evicted().now_or_never().is_some());
        assert!(first.evicted().now_or_never().is_none());
        assert!(fourth.evicted().now_or_never().is_none());
        drop(debt);
        drop(second);
        assert!(newcomer.now_or_never().is_some());
    }
}
