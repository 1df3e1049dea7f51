//! The limit on open connections. When all slots are taken, a new connection replaces
//! the one that has been idle longest: otherwise a client that opens many connections
//! and sends nothing could lock out everyone else. Sources above their fair share lose
//! connections first: otherwise a client that sends a byte on each of many connections
//! now and then could keep all the slots.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::admission::write_timeout::InFlight;
use crate::source::Source;

/// Interval between looks for an idle connection while all have requests in flight.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// A fixed number of slots for open connections.
pub(crate) struct ConnectionSlots {
    free: Arc<Semaphore>,
    active: Arc<ActiveConnections>,
}

/// The slot of one connection, released on drop.
pub(crate) struct ConnectionSlot {
    number: u64,
    connection: ActiveConnection,
    active: Arc<ActiveConnections>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct ActiveConnections {
    connections: Mutex<OpenConnections>,
    next: AtomicU64,
}

#[derive(Default)]
struct OpenConnections {
    all: HashMap<u64, ActiveConnection>,
    /// Number of connections of each source, and of all sources.
    per_source: HashMap<Source, usize>,
    of_sources: usize,
}

/// A connection that holds a slot.
#[derive(Clone)]
struct ActiveConnection {
    /// The source, or `None` for a proxy, which forwards for many clients.
    source: Option<Source>,
    in_flight: InFlight,
    evicted: CancellationToken,
}

impl ConnectionSlots {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            active: Arc::default(),
        }
    }

    /// Acquires a slot for a new connection from this source, or from a proxy (`None`).
    /// If no slot is free, evicts a connection; if all have requests in flight, waits
    /// for one to finish.
    pub(crate) async fn take(&self, source: Option<Source>) -> ConnectionSlot {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let number = self.active.next.fetch_add(1, Relaxed);
        let connection = ActiveConnection {
            source,
            in_flight: InFlight::default(),
            evicted: CancellationToken::new(),
        };
        self.active.lock().insert(number, connection.clone());
        ConnectionSlot {
            number,
            connection,
            active: Arc::clone(&self.active),
            _permit: permit,
        }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        loop {
            self.active.evict();
            let slot = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = timeout(RETRY_INTERVAL, slot).await {
                return permit;
            }
        }
    }
}

impl ConnectionSlot {
    /// Returns the requests in flight; a connection with any keeps its slot.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.connection.in_flight
    }

    /// Completes when the slot is needed for another connection.
    pub(crate) async fn evicted(&self) {
        self.connection.evicted.cancelled().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.active.lock().remove(self.number);
    }
}

impl OpenConnections {
    fn insert(&mut self, number: u64, connection: ActiveConnection) {
        if let Some(source) = connection.source {
            *self.per_source.entry(source).or_default() += 1;
            self.of_sources += 1;
        }
        self.all.insert(number, connection);
    }

    fn remove(&mut self, number: u64) {
        let source = self.all.remove(&number).and_then(|gone| gone.source);
        if let Some(source) = source
            && let Entry::Occupied(mut count) = self.per_source.entry(source)
        {
            self.of_sources -= 1;
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Returns whether the source of this connection holds more than an equal share of
    /// the slots.
    fn exceeds_share(&self, connection: &ActiveConnection) -> bool {
        let count = connection
            .source
            .and_then(|source| self.per_source.get(&source));
        count.is_some_and(|count| count * self.per_source.len() > self.of_sources)
    }
}

impl ActiveConnections {
    /// Closes the connection that has been idle longest or, if none is idle, stalled
    /// longest. Sources above their fair share go first.
    fn evict(&self) {
        // This looks at every connection, but only when all slots are taken, which
        // costs less than maintaining an order on every request.
        let connections = self.lock();
        let rank = |connection: &ActiveConnection| {
            let eviction_rank = connection.in_flight.eviction_rank()?;
            Some((!connections.exceeds_share(connection), eviction_rank))
        };
        let idlest = connections
            .all
            .values()
            .filter(|connection| !connection.evicted.is_cancelled())
            .filter_map(|connection| Some((rank(connection)?, connection)))
            .min_by_key(|(rank, _)| *rank);
        if let Some((_, connection)) = idlest {
            connection.evicted.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        // No code under the lock can panic between two changes.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn the_idlest_connection_is_evicted_and_a_busy_one_stays() {
        let slots = ConnectionSlots::new(3);
        let take = || slots.take(None);
        let (first, second, third) = tokio::join!(take(), take(), take());
        let guard = first.in_flight().begin();
        // Less idle than the third, although it connected earlier.
        drop(second.in_flight().begin());
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
        drop(guard);
        drop(second);
        assert!(newcomer.now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_source_above_its_share_is_evicted_before_an_idler_one() {
        let slots = ConnectionSlots::new(6);
        let of = |number| slots.take(Some(Source::V4(number)));
        // A proxy forwards for many clients, however many connections it has.
        let idlest = (of(1).await, slots.take(None).await, slots.take(None).await);
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
        // No source holds more than one slot now: the idlest leaves.
        assert!(of(5).now_or_never().is_none());
        assert!(idlest.0.evicted().now_or_never().is_some());
        drop((idlest, third, newcomer, other));
        let connections = slots.active.lock();
        assert!(connections.all.is_empty() && connections.per_source.is_empty());
    }
}
