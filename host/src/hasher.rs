//! Computes password hashes on threads of its own: at most one hash per core, with
//! block memory that each worker keeps, and a queue that rejects requests when it is
//! full. Which function a password is hashed with, and at which cost, is up to the component.
//!
//! Sources take turns, and when the queue is full, the source with the most hashes in
//! it loses one. So a source may use the whole queue while no other needs it, but
//! however much it sends, another source waits for only one of its hashes at a time.

mod function;
mod queue;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use argon2::Block;
use tokio::sync::oneshot;
use tracing::warn;
use zeroize::Zeroizing;

use self::queue::Queue;
use crate::limits::Limits;
use crate::source::Source;

pub use function::{Argon2Kind, Digest, Function};

/// Minimum interval between log lines about a full queue.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The thread pool. Cheap to clone; its threads end with the last clone, after the
/// hashes that they have begun.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
}

/// A password to hash, and how.
pub struct HashRequest {
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash function with its costs.
    pub function: Function,
}

/// Reasons why a hash was not computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("{waiting} passwords are waiting to be hashed, which is the limit")]
    Full {
        /// Number of waiting hashes.
        waiting: usize,
        /// Time in which the queue will be empty, at its present pace.
        retry_after: Duration,
    },
    /// The parameters are ones that this host always rejects.
    #[error("the host refuses these hash parameters: {0}")]
    Refused(String),
    /// The pool is shutting down, or the worker panicked.
    #[error("the password hash was abandoned")]
    Abandoned,
}

/// The state of the pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HasherMetrics {
    /// Number of threads.
    pub workers: usize,
    /// Number of hashes being computed.
    pub running: usize,
    /// Number of hashes that wait for a worker.
    pub waiting: usize,
    /// Maximum number of waiting hashes.
    pub capacity: usize,
    /// Number of hashes computed since the start.
    pub completed: u64,
    /// Number of requests rejected since the start because the queue was full.
    pub refused: u64,
}

impl Hasher {
    /// Starts `limits.hash_workers` threads, at least one.
    pub fn start(limits: &Limits) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ready: Condvar::new(),
        });
        let pool = Arc::new(Pool {
            shared: Arc::clone(&shared),
            limits: limits.clone(),
        });
        for number in 0..limits.hash_workers.max(1) {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&shared))?;
        }
        Ok(Self { pool })
    }

    /// Computes a hash. If the caller goes away while its request waits, its place goes
    /// to the next; a hash that has begun is completed, since a client that hangs up on
    /// purpose must still be charged for its work.
    pub async fn hash(&self, request: HashRequest, source: Source) -> Result<Vec<u8>, HashError> {
        request.admit(&self.pool.limits)?;
        let (answer, answered) = oneshot::channel();
        self.pool.enqueue(Job { request, answer }, source)?;
        answered.await.unwrap_or(Err(HashError::Abandoned))
    }

    /// Returns the current metrics.
    pub fn metrics(&self) -> HasherMetrics {
        let limits = &self.pool.limits;
        let state = self.pool.shared.lock();
        HasherMetrics {
            workers: limits.hash_workers.max(1),
            running: state.running,
            waiting: state.waiting(),
            capacity: limits.hash_queue,
            completed: state.completed,
            refused: state.refused,
        }
    }
}

/// Stops the workers once all handles are dropped.
struct Pool {
    shared: Arc<Shared>,
    limits: Limits,
}

impl Pool {
    fn enqueue(&self, job: Job, source: Source) -> Result<(), HashError> {
        let mut state = self.shared.lock();
        if state.jobs.len() >= self.limits.hash_queue {
            state.jobs.retain(|job| !job.answer.is_closed());
        }
        let workers = self.limits.hash_workers.max(1);
        // An idle worker takes the job immediately, so it does not count as waiting.
        let idle = workers.saturating_sub(state.running);
        if state.jobs.len() >= self.limits.hash_queue + idle {
            state.refused += 1;
            let waiting = state.waiting();
            state.warn(waiting);
            let full = HashError::Full {
                waiting,
                retry_after: state.pace * (waiting / workers + 1) as u32,
            };
            match state.jobs.make_room_for(source) {
                // The evicted caller may have gone away.
                Some(evicted) => drop(evicted.answer.send(Err(full))),
                None => return Err(full),
            }
        }
        state.jobs.push(source, job);
        drop(state);
        self.shared.ready.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.jobs.clear();
        drop(state);
        self.shared.ready.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

impl Shared {
    /// The state is consistent between any two statements, so a worker that panicked
    /// left no change half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    jobs: Queue<Job>,
    running: usize,
    completed: u64,
    refused: u64,
    /// Duration of a hash, as a moving average.
    pace: Duration,
    /// When a full queue was last logged.
    warned_at: Option<Instant>,
    closed: bool,
}

impl State {
    fn waiting(&self) -> usize {
        let jobs = self.jobs.iter();
        jobs.filter(|job| !job.answer.is_closed()).count()
    }

    /// Logs that the queue is full, unless that was logged a moment ago: a flood must
    /// not fill the log as well.
    fn warn(&mut self, waiting: usize) {
        let now = Instant::now();
        if self.warned_at.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned_at = Some(now);
            warn!(
                waiting,
                refused = self.refused,
                "the queue for password hashes is full"
            );
        }
    }
}

struct Job {
    request: HashRequest,
    answer: oneshot::Sender<Result<Vec<u8>, HashError>>,
}

fn work(shared: &Shared) {
    let mut memory: Vec<Block> = Vec::new();
    while let Some(job) = next_job(shared) {
        let Job { request, answer } = job;
        let started = Instant::now();
        let result = request.compute(&mut memory);
        drop(request);
        let took = started.elapsed();

        let mut state = shared.lock();
        state.running -= 1;
        state.completed += u64::from(result.is_ok());
        state.pace = match state.pace {
            Duration::ZERO => took,
            pace => (pace * 7 + took) / 8,
        };
        drop(state);
        // The caller may have gone away.
        let _ = answer.send(result);
    }
}

fn next_job(shared: &Shared) -> Option<Job> {
    let mut state = shared.lock();
    loop {
        if state.closed {
            return None;
        }
        if let Some(job) = state.jobs.pop() {
            if job.answer.is_closed() {
                continue;
            }
            state.running += 1;
            return Some(job);
        }
        state = shared
            .ready
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Params, Version};

    use super::*;

    const ONE: Source = Source::V4(1);
    const OTHER: Source = Source::V4(2);

    fn request() -> HashRequest {
        HashRequest {
            password: Zeroizing::new(vec![1; 32]),
            salt: vec![2; 16],
            function: Function::Argon2 {
                kind: Argon2Kind::Id,
                secret: Zeroizing::new(vec![3; 8]),
                memory_kib: 32,
                iterations: 3,
                parallelism: 4,
                output_length: 32,
            },
        }
    }

    /// Returns a pool without a running worker, so that its queue can be inspected.
    fn stalled(hash_queue: usize) -> Pool {
        Pool {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    running: 1,
                    pace: Duration::from_millis(40),
                    ..State::default()
                }),
                ready: Condvar::new(),
            }),
            limits: Limits {
                hash_workers: 1,
                hash_queue,
                ..Limits::default()
            },
        }
    }

    fn job(pool: &Pool) -> (Job, oneshot::Receiver<Result<Vec<u8>, HashError>>) {
        let request = request();
        request.admit(&pool.limits).unwrap();
        let (answer, answered) = oneshot::channel();
        (Job { request, answer }, answered)
    }

    #[tokio::test]
    async fn hashes_match_the_reference() {
        let hasher = Hasher::start(&Limits::default()).unwrap();
        let hash = async || hasher.hash(request(), Source::Local).await.unwrap();
        let first = hash().await;
        let mut expected = [0; 32];
        Argon2::new_with_secret(
            &[3; 8],
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(32, 3, 4, Some(32)).unwrap(),
        )
        .unwrap()
        .hash_password_into(&[1; 32], &[2; 16], &mut expected)
        .unwrap();
        assert_eq!(first, expected);
        // This reuses the memory of the first.
        assert_eq!(hash().await, expected);
        assert_eq!(hasher.metrics().completed, 2);
    }

    #[test]
    fn a_full_queue_rejects_with_a_retry_time() {
        let pool = stalled(2);
        let (first, _first) = job(&pool);
        let (second, _second) = job(&pool);
        pool.enqueue(first, ONE).unwrap();
        pool.enqueue(second, ONE).unwrap();
        let error = pool.enqueue(job(&pool).0, ONE).unwrap_err();
        assert_eq!(
            error,
            HashError::Full {
                waiting: 2,
                retry_after: Duration::from_millis(120)
            }
        );
        assert_eq!(pool.shared.lock().refused, 1);
    }

    #[test]
    fn a_cancelled_caller_releases_its_place() {
        let pool = stalled(1);
        let (first, gone) = job(&pool);
        pool.enqueue(first, ONE).unwrap();
        drop(gone);
        let (second, _second) = job(&pool);
        pool.enqueue(second, ONE).unwrap();
        assert_eq!(pool.shared.lock().waiting(), 1);
    }

    #[test]
    fn a_full_queue_makes_room_for_a_source_that_has_less_of_it() {
        let pool = stalled(2);
        let (first, mut of_first) = job(&pool);
        let (second, mut of_second) = job(&pool);
        pool.enqueue(first, ONE).unwrap();
        pool.enqueue(second, ONE).unwrap();
        let (third, mut of_third) = job(&pool);
        pool.enqueue(third, OTHER).unwrap();
        let evicted = of_second.try_recv().unwrap();
        assert!(
            matches!(evicted, Err(HashError::Full { .. })),
            "{evicted:?}"
        );
        assert!(of_first.try_recv().is_err() && of_third.try_recv().is_err());
        // Each has its share now, and neither gets more.
        for source in [ONE, OTHER] {
            assert!(pool.enqueue(job(&pool).0, source).is_err());
        }
        assert_eq!(pool.shared.lock().refused, 3);
    }
}
