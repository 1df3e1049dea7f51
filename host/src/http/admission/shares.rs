//! The share that one source may use of common resources: slots for calls, the
//! processor, and memory for request bodies. Without these limits a single address could
//! lock out everyone else.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::admission::call_queue::Line;
use crate::limits::Limits;
use crate::source::Source;

/// Divisor of the call slots: one source may use one half.
const CALLS_DIVISOR: u32 = 2;
/// Calls of one source in the runtime's queue, per processor: one that runs, and one that
/// follows it at once.
const READY_PER_PROCESSOR: usize = 2;
/// Divisor of the memory for bodies: one source may use one eighth.
const BODIES_DIVISOR: usize = 8;
/// Divisor of the memory reserved for the first bytes of bodies. This quarter is
/// divided evenly among the connections, so every connection has its part.
const FIRST_BYTES_DIVISOR: usize = 4;

/// The shares of all sources.
pub(crate) struct Shares(Arc<Registry>);

struct Registry {
    sizes: Sizes,
    /// Memory for bodies; a permit is one byte.
    memory: Arc<Semaphore>,
    of: Mutex<HashMap<Source, Weak<State>>>,
}

/// Sizes of the resources, and of one source's share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    calls: usize,
    waiting_calls: usize,
    ready_calls: usize,
    first_bytes: usize,
    memory: usize,
    memory_of_one: usize,
    wait: Duration,
}

/// The share of one source, removed once none of it is in use.
#[derive(Clone)]
pub(crate) struct Share(Arc<State>);

struct State {
    source: Source,
    registry: Arc<Registry>,
    calls: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    line: Arc<Line>,
    memory: Arc<Semaphore>,
}

/// A slot for a call, released on drop.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    share: Share,
}

/// Memory for a body, released on drop.
pub(crate) struct Memory {
    /// Permits of the source's share and of the total.
    permits: Option<[OwnedSemaphorePermit; 2]>,
    share: Share,
}

/// Error for a resource that is exhausted and will not be free soon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoMore;

impl Sizes {
    fn of(limits: &Limits) -> Self {
        let part = |whole: u32| (whole / CALLS_DIVISOR).max(1) as usize;
        let connections = limits.connections.max(1);
        let first_bytes = limits.bodies_bytes / FIRST_BYTES_DIVISOR / connections;
        let memory = limits.bodies_bytes - first_bytes * connections;
        // At least one whole message has to fit, if the total allows it.
        let memory_of_one = (memory / BODIES_DIVISOR).max(limits.body_bytes).min(memory);
        Self {
            calls: part(limits.concurrent_calls),
            waiting_calls: part(limits.waiting_calls),
            ready_calls: READY_PER_PROCESSOR * available_parallelism().map_or(1, NonZero::get),
            first_bytes,
            memory,
            memory_of_one,
            wait: limits.call_queue_wait,
        }
    }
}

impl Shares {
    pub(crate) fn new(limits: &Limits) -> Self {
        let sizes = Sizes::of(limits);
        Self(Arc::new(Registry {
            sizes,
            memory: semaphore(sizes.memory),
            of: Mutex::default(),
        }))
    }

    pub(crate) fn of(&self, source: Source) -> Share {
        let Self(registry) = self;
        let mut all = registry.lock();
        if let Some(state) = all.get(&source).and_then(Weak::upgrade) {
            return Share(state);
        }
        let sizes = registry.sizes;
        let state = Arc::new(State {
            source,
            registry: Arc::clone(registry),
            calls: semaphore(sizes.calls),
            waiting: semaphore(sizes.waiting_calls),
            line: Arc::new(Line::new(sizes.ready_calls)),
            memory: semaphore(sizes.memory_of_one),
        });
        all.insert(source, Arc::downgrade(&state));
        Share(state)
    }
}

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<Source, Weak<State>>> {
        // No code under the lock can panic between two changes.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let mut all = self.registry.lock();
        // Another share may have been created in the meantime.
        if all
            .get(&self.source)
            .is_some_and(|state| state.strong_count() == 0)
        {
            all.remove(&self.source);
        }
    }
}

impl Share {
    /// Waits for a slot for a call. Fails immediately if the queue is full.
    pub(crate) async fn turn(self) -> Result<Turn, NoMore> {
        let Self(state) = &self;
        let permit = match Arc::clone(&state.calls).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = state.waiting.try_acquire().map_err(|_| NoMore)?;
                acquire(&state.calls, 1, state.registry.sizes.wait).await?
            }
        };
        Ok(Turn {
            _permit: permit,
            share: self,
        })
    }

    /// Returns an empty reservation for a body that is yet to arrive.
    pub(crate) fn memory(self) -> Memory {
        Memory {
            permits: None,
            share: self,
        }
    }
}

impl Turn {
    /// Returns the share that the slot belongs to.
    pub(crate) fn share(&self) -> Share {
        self.share.clone()
    }
}

impl Share {
    /// Runs a call, in the line of the calls of its source.
    pub(crate) async fn run<F: Future>(&self, call: F) -> F::Output {
        self.0.line.run(call).await
    }
}

impl Memory {
    /// Reserves memory for `bytes` bytes. The first ones come from the connection's own
    /// part. If more are needed, the most that the body may ever use (`at_most`) is
    /// reserved at once: bodies that grew bit by bit could deadlock, each holding a
    /// part of the memory.
    pub(crate) async fn hold(&mut self, bytes: usize, at_most: usize) -> Result<(), NoMore> {
        let Share(state) = &self.share;
        let sizes = state.registry.sizes;
        let beyond = |bytes: usize| bytes.saturating_sub(sizes.first_bytes);
        // This much memory can never become available.
        if beyond(bytes) > sizes.memory_of_one {
            return Err(NoMore);
        }
        if beyond(bytes) == 0 || self.permits.is_some() {
            return Ok(());
        }
        let beyond = beyond(at_most).min(sizes.memory_of_one);
        let beyond = u32::try_from(beyond).map_err(|_| NoMore)?;
        self.permits = Some([
            acquire(&state.memory, beyond, sizes.wait).await?,
            acquire(&state.registry.memory, beyond, sizes.wait).await?,
        ]);
        Ok(())
    }

    /// Releases the memory beyond `bytes` bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let beyond = bytes.saturating_sub(self.share.0.registry.sizes.first_bytes);
        for permit in self.permits.iter_mut().flatten() {
            drop(permit.split(permit.num_permits().saturating_sub(beyond)));
        }
    }
}

async fn acquire(
    of: &Arc<Semaphore>,
    permits: u32,
    wait: Duration,
) -> Result<OwnedSemaphorePermit, NoMore> {
    match timeout(wait, Arc::clone(of).acquire_many_owned(permits)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(NoMore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const A: Source = Source::V4(1);
    const B: Source = Source::V4(2);

    fn shares(change: impl FnOnce(&mut Limits)) -> Shares {
        let mut limits = Limits {
            call_queue_wait: Duration::from_secs(600),
            ..Limits::default()
        };
        change(&mut limits);
        Shares::new(&limits)
    }

    fn now<T>(future: impl Future<Output = Result<T, NoMore>>) -> Option<Result<T, NoMore>> {
        future.now_or_never()
    }

    #[tokio::test]
    async fn one_source_gets_at_most_half_of_the_calls() {
        let shares = shares(|limits| {
            limits.concurrent_calls = 4;
            limits.waiting_calls = 3;
        });
        let first = shares.of(A).turn().await.unwrap();
        let _second = shares.of(A).turn().await.unwrap();
        let mut third = Box::pin(shares.of(A).turn());
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(
            now(shares.of(A).turn()).map(|turn| turn.is_ok()),
            Some(false)
        );
        let _other = now(shares.of(B).turn()).unwrap().unwrap();
        drop(first);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_caller_leaves_the_queue() {
        let shares = shares(|limits| {
            limits.concurrent_calls = 1;
            limits.waiting_calls = 1;
        });
        let _turn = shares.of(A).turn().await.unwrap();
        for _ in 0..3 {
            assert!(now(shares.of(A).turn()).is_none(), "it waits");
        }
    }

    #[tokio::test]
    async fn memory_of_one_source_is_bounded_but_first_bytes_are_always_available() {
        let shares = shares(|limits| {
            limits.connections = 10;
            limits.bodies_bytes = 4_000;
            limits.body_bytes = 100;
        });
        // 100 bytes for each connection, and 375 more of the 3,000 that are left.
        let mut large = shares.of(A).memory();
        large.hold(101, 475).await.unwrap();
        assert_eq!(now(large.hold(475, 475)), Some(Ok(())));
        let small = || shares.of(A).memory();
        assert_eq!(now(small().hold(100, 100)), Some(Ok(())));
        assert_eq!(now(small().hold(101, 101)), None);
        let mut others = Vec::new();
        for number in 0..7 {
            let mut other = shares.of(Source::V4(10 + number)).memory();
            other.hold(475, 475).await.unwrap();
            others.push(other);
        }
        // Only first bytes are left now.
        let late = || shares.of(B).memory();
        assert_eq!(now(late().hold(100, 100)), Some(Ok(())));
        assert_eq!(now(late().hold(101, 101)), None);
        // A body that turns out to be shorter releases the rest.
        large.shrink(474);
        assert_eq!(now(late().hold(101, 101)), Some(Ok(())));
        assert_eq!(now(late().hold(102, 102)), None);
        drop(others);
        large.shrink(0);
        assert_eq!(now(small().hold(475, 475)), Some(Ok(())));
        // Reservations that can never succeed, or that may not, fail without waiting.
        assert_eq!(now(small().hold(476, 476)), Some(Err(NoMore)));
        let mut unknown = small();
        assert_eq!(now(unknown.hold(101, 1_000)), Some(Ok(())));
        assert_eq!(now(unknown.hold(476, 1_000)), Some(Err(NoMore)));
    }

    #[tokio::test]
    async fn bodies_of_one_source_do_not_wait_for_each_other() {
        let shares = shares(|limits| {
            limits.bodies_bytes = 1_000;
            limits.body_bytes = 600;
        });
        let mut first = shares.of(A).memory();
        first.hold(1, 600).await.unwrap();
        // It gets no part, and holds none that the first could need.
        let mut second = shares.of(A).memory();
        let mut waiting = Box::pin(second.hold(1, 600));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(now(first.hold(600, 600)), Some(Ok(())));
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn sources_that_hold_nothing_are_forgotten() {
        let shares = shares(|_| ());
        let turn = shares.of(A).turn().await.unwrap();
        let same = shares.of(A);
        for number in 10..1_000 {
            drop(shares.of(Source::V4(number)).turn().await.unwrap());
        }
        assert_eq!(shares.0.lock().len(), 1);
        assert!(Arc::ptr_eq(&same.0, &shares.of(A).0));
        drop((turn, same));
        assert!(shares.0.lock().is_empty());
    }

    #[test]
    fn default_sizes() {
        let sizes = Sizes::of(&Limits::default());
        assert_eq!(sizes.first_bytes, 8 << 10);
        assert_eq!((sizes.memory, sizes.memory_of_one), (96 << 20, 12 << 20));
        assert_eq!((sizes.calls, sizes.waiting_calls), (128, 512));
    }
}
