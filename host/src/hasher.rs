//! Password hashes on threads of their own: at most one hash per core, each worker
//! with block memory that it keeps, and a queue that says no when it is full.
//!
//! Sources take turns, and when the queue is full, the one with the most hashes in it
//! gives way. So a source may have all of the queue while no other wants any of it, and
//! however much it sends, another one waits for one of its hashes at a time.

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

/// How often a full queue is logged.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The pool. Cheap to clone; its threads end with the last clone, after what
/// they have begun.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
}

/// What to hash, how, and at what cost.
pub struct HashRequest {
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
    /// The salt.
    pub salt: Vec<u8>,
    /// How.
    pub function: Function,
}

/// Why there is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("{waiting} passwords wait to be hashed, and no more may")]
    Full {
        /// How many wait.
        waiting: usize,
        /// When the queue will have been worked off, at its present pace.
        retry_after: Duration,
    },
    /// The request is one that this host never serves.
    #[error("the host refuses these hash parameters: {0}")]
    Refused(String),
    /// The pool is shutting down, or the worker broke.
    #[error("the password hash was abandoned")]
    Abandoned,
}

/// The pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HasherMetrics {
    /// Threads.
    pub workers: usize,
    /// Hashes in the making.
    pub running: usize,
    /// Hashes that wait for a worker.
    pub waiting: usize,
    /// How many may wait.
    pub capacity: usize,
    /// Hashes made since the start.
    pub completed: u64,
    /// Requests turned away because the queue was full, since the start.
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

    /// Hashes. A caller that goes away while its request waits gives its place
    /// to the next; what has begun is finished, since the work of a client that
    /// hangs up on purpose must not come for free to it.
    pub async fn hash(&self, request: HashRequest, source: Source) -> Result<Vec<u8>, HashError> {
        request.admit(&self.pool.limits)?;
        let (answer, answered) = oneshot::channel();
        self.pool.enqueue(Job { request, answer }, source)?;
        answered.await.unwrap_or(Err(HashError::Abandoned))
    }

    /// The pool as it is now.
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

/// Tells the workers to go when nobody can ask them for anything any more.
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
        // An idle worker takes the job at once, so it does not count as waiting.
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
                // Its caller may have gone away.
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
    /// The state is whole between any two statements, so a worker that panicked
    /// left nothing half done.
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
    /// How long a hash takes, as a moving average.
    pace: Duration,
    /// When it was last logged that the queue is full.
    warned_at: Option<Instant>,
    closed: bool,
}

impl State {
    fn waiting(&self) -> usize {
        let jobs = self.jobs.iter();
        jobs.filter(|job| !job.answer.is_closed()).count()
    }

    /// Says that the queue is full, unless that was said a moment ago: a flood is not to
    /// fill the log as well.
    fn warn(&mut self, waiting: usize) {
        let now = Instant::now();
        if self.warned_at.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned_at = Some(now);
            warn!(
                waiting,
                refused = self.refused,
                "the queue of passwords to be hashed is full"
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
        // Whoever asked may have gone away.
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

    /// A pool whose worker never comes, so that its queue can be looked at.
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
    async fn hashes_as_the_reference_does() {
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
        // The memory of the first is used again.
        assert_eq!(hash().await, expected);
        assert_eq!(hasher.metrics().completed, 2);
    }

    #[test]
    fn a_full_queue_refuses_and_says_when_to_come_back() {
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
    fn a_caller_that_has_gone_gives_its_place_away() {
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
        // Each has its share now, and neither gets more of it.
        for source in [ONE, OTHER] {
            assert!(pool.enqueue(job(&pool).0, source).is_err());
        }
        assert_eq!(pool.shared.lock().refused, 3);
    }
}
