//! The metrics since the start. Cheap to write, read as one snapshot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::delivery::OutboxMetrics;
use crate::embed::bindings::user_auth::plugin::telemetry::{
    DeliveryMetrics, HashMetrics, InstanceMetrics, Metrics as Snapshot, OperationEvent,
    OperationMetrics, StoreMetrics,
};
use crate::hasher::HasherMetrics;
use crate::outcome::Outcome;

/// All counters of one plugin.
pub(crate) struct Metrics {
    started: Instant,
    operations: Mutex<BTreeMap<String, Operation>>,
    counted_operations: usize,
    pub(crate) store: StoreCounters,
    pub(crate) instances: InstanceCounters,
}

/// Counters of calls to the store.
#[derive(Default)]
pub(crate) struct StoreCounters {
    pub(crate) reads: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// Counters of instances.
#[derive(Default)]
pub(crate) struct InstanceCounters {
    live: AtomicU32,
    created: AtomicU64,
    pub(crate) trapped: AtomicU64,
    peak_memory_bytes: AtomicU64,
}

struct Operation {
    calls: u64,
    failures: u64,
    /// Number of calls by the index of their outcome.
    outcomes: [u64; Outcome::COUNT],
    sum_us: u64,
    latency_us: Histogram<u32>,
}

/// Upper bounds of latencies in microseconds: from verifying a token to hashing a
/// password after a wait.
const BOUNDS_US: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// The metrics of one operation, for monitoring.
pub(crate) struct OperationStats {
    pub(crate) operation: String,
    /// Number of calls by outcome, without outcomes that never occurred.
    pub(crate) outcomes: Vec<(&'static str, u64)>,
    pub(crate) calls: u64,
    pub(crate) sum_seconds: f64,
    /// Upper bounds in seconds, with the number of calls between the previous bound and
    /// each.
    pub(crate) latency: Vec<(f64, u64)>,
}

impl Metrics {
    pub(crate) fn new(counted_operations: usize) -> Self {
        Self {
            started: Instant::now(),
            operations: Mutex::default(),
            counted_operations,
            store: StoreCounters::default(),
            instances: InstanceCounters::default(),
        }
    }

    /// Counts an operation that has ended.
    pub(crate) fn operation_ended(&self, event: OperationEvent) {
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full = operations.len() >= self.counted_operations;
        if full && !operations.contains_key(&event.operation) {
            return;
        }
        let operation = operations
            .entry(event.operation)
            .or_insert_with(Operation::new);
        operation.calls += 1;
        operation.failures += u64::from(event.code.is_some());
        operation.outcomes[Outcome::of(event.code).index()] += 1;
        operation.sum_us = operation.sum_us.saturating_add(event.duration_us);
        operation.latency_us.saturating_record(event.duration_us);
    }

    /// Returns the current metrics.
    pub(crate) fn snapshot(
        &self,
        store_kind: &str,
        hasher: HasherMetrics,
        outbox: OutboxMetrics,
    ) -> Snapshot {
        Snapshot {
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            operations: self.operations(),
            password_hash: HashMetrics {
                workers: saturate(hasher.workers),
                running: saturate(hasher.running),
                waiting: saturate(hasher.waiting),
                capacity: saturate(hasher.capacity),
                completed: hasher.completed,
                refused: hasher.refused,
            },
            store: StoreMetrics {
                kind: store_kind.to_owned(),
                reads: self.store.reads.load(Relaxed),
                commits: self.store.commits.load(Relaxed),
                conflicts: self.store.conflicts.load(Relaxed),
                failures: self.store.failures.load(Relaxed),
            },
            delivery: DeliveryMetrics {
                kind: outbox.kind.to_owned(),
                waiting: saturate(outbox.waiting),
                capacity: saturate(outbox.capacity),
                delivered: outbox.delivered,
                failed: outbox.failed,
                refused: outbox.refused,
            },
            instances: InstanceMetrics {
                live: self.instances.live.load(Relaxed),
                created: self.instances.created.load(Relaxed),
                trapped: self.instances.trapped.load(Relaxed),
                peak_memory_bytes: self.instances.peak_memory_bytes.load(Relaxed),
            },
        }
    }

    /// Returns the metrics of all operations that have been called.
    pub(crate) fn operation_stats(&self) -> Vec<OperationStats> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, operation)| operation.operation_stats(name))
            .collect()
    }

    fn operations(&self) -> Vec<OperationMetrics> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, operation)| {
                let quantile = |q| operation.latency_us.value_at_quantile(q);
                OperationMetrics {
                    operation: name.clone(),
                    calls: operation.calls,
                    failures: operation.failures,
                    p50_us: quantile(0.50),
                    p95_us: quantile(0.95),
                    p99_us: quantile(0.99),
                    max_us: operation.latency_us.max(),
                }
            })
            .collect()
    }
}

impl InstanceCounters {
    /// Counts an instance as live, until [`leave`](Self::leave).
    pub(crate) fn enter(&self) {
        self.live.fetch_add(1, Relaxed);
        self.created.fetch_add(1, Relaxed);
    }

    /// Counts the end of an instance that has used this much linear memory.
    pub(crate) fn leave(&self, memory_bytes: usize) {
        self.live.fetch_sub(1, Relaxed);
        // A plain read first: the peak seldom rises, and a write would pull the cache
        // line from the other cores on every call.
        let bytes = memory_bytes as u64;
        if bytes > self.peak_memory_bytes.load(Relaxed) {
            self.peak_memory_bytes.fetch_max(bytes, Relaxed);
        }
    }
}

impl Operation {
    fn new() -> Self {
        // 1 µs to 1 minute with two significant digits: at most 1 % off.
        #[expect(clippy::expect_used, reason = "the bounds are constants")]
        let latency_us = Histogram::new_with_bounds(1, 60_000_000, 2).expect("valid bounds");
        Self {
            calls: 0,
            failures: 0,
            outcomes: [0; Outcome::COUNT],
            sum_us: 0,
            latency_us,
        }
    }

    fn operation_stats(&self, name: &str) -> OperationStats {
        let names = Outcome::all().map(Outcome::name).into_iter();
        let outcomes = names.zip(self.outcomes).filter(|(_, calls)| *calls > 0);
        OperationStats {
            operation: name.to_owned(),
            outcomes: outcomes.collect(),
            calls: self.calls,
            sum_seconds: seconds(self.sum_us),
            latency: self.latency(),
        }
    }

    fn latency(&self) -> Vec<(f64, u64)> {
        let mut counts = [0; BOUNDS_US.len() + 1];
        for step in self.latency_us.iter_recorded() {
            let value = step.value_iterated_to();
            let bucket = BOUNDS_US.partition_point(|bound| *bound < value);
            counts[bucket] += u64::from(step.count_at_value());
        }
        let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound));
        bounds.chain([f64::INFINITY]).zip(counts).collect()
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(operation: &str, code: Option<i32>, duration_us: u64) -> OperationEvent {
        OperationEvent {
            operation: operation.into(),
            code,
            audit: None,
            duration_us,
        }
    }

    #[test]
    fn calls_are_counted_by_operation() {
        let metrics = Metrics::new(8);
        for duration in 1..=100 {
            metrics.operation_ended(event("login", (duration > 90).then_some(-32001), duration));
        }
        let snapshot =
            metrics.snapshot("memory", HasherMetrics::default(), OutboxMetrics::default());
        let login = &snapshot.operations[0];
        assert_eq!((login.calls, login.failures), (100, 10));
        assert_eq!((login.p50_us, login.p99_us, login.max_us), (50, 99, 100));
    }

    #[test]
    fn outcomes_and_latencies_add_up() {
        let metrics = Metrics::new(8);
        for (code, duration) in [
            (None, 100),
            (None, 300),
            (Some(-32001), 40_000),
            (Some(7), 60_000_000),
        ] {
            metrics.operation_ended(event("login", code, duration));
        }
        let login = metrics.operation_stats().remove(0);
        let outcomes = [("success", 2), ("authentication", 1), ("other", 1)];
        assert_eq!(login.outcomes, outcomes);
        assert_eq!((login.calls, login.sum_seconds), (4, 60.0404));
        let filled: Vec<_> = login.latency.into_iter().filter(|b| b.1 > 0).collect();
        let expected = [(0.00025, 1), (0.0005, 1), (0.05, 1), (f64::INFINITY, 1)];
        assert_eq!(filled, expected);
    }

    #[test]
    fn invented_operation_names_do_not_fill_memory() {
        let metrics = Metrics::new(2);
        for name in ["a", "b", "c", "a"] {
            metrics.operation_ended(event(name, None, 1));
        }
        let operations = metrics
            .snapshot("memory", HasherMetrics::default(), OutboxMetrics::default())
            .operations;
        let names: Vec<_> = operations
            .iter()
            .map(|o| (&*o.operation, o.calls))
            .collect();
        assert_eq!(names, [("a", 2), ("b", 1)]);
    }

    #[test]
    fn an_instance_is_live_until_it_leaves_and_its_peak_memory_is_kept() {
        let instances = InstanceCounters::default();
        instances.enter();
        assert_eq!(instances.live.load(Relaxed), 1);
        instances.leave(2 << 16);
        instances.enter();
        instances.leave(1 << 16);
        assert_eq!(instances.live.load(Relaxed), 0);
        assert_eq!(instances.created.load(Relaxed), 2);
        assert_eq!(instances.peak_memory_bytes.load(Relaxed), 2 << 16);
    }
}
