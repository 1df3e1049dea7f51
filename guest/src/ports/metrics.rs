//! Metrics of the service. As JSON they are the resource `mcp://user-auth/metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

/// All metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// The time since the start, in milliseconds.
    pub uptime_ms: u64,
    /// The metrics of each operation that has run, by its name.
    pub operations: BTreeMap<String, OperationMetrics>,
    /// The queue of password hashes.
    pub password_hash: HashMetrics,
    /// The store.
    pub store: StoreMetrics,
    /// The messages to the owners of accounts.
    pub delivery: DeliveryMetrics,
    /// The sandbox.
    pub instances: InstanceMetrics,
}

/// The metrics of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperationMetrics {
    /// Calls that have ended.
    pub calls: u64,
    /// Calls that ended with an error.
    pub failures: u64,
    /// The latencies in microseconds.
    pub latency_us: Latency,
}

/// Percentiles of latencies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The longest of all.
    pub max: u64,
}

/// The metrics of the queue of password hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HashMetrics {
    /// Hashes that can be computed at the same time; 0 if there is no hash function.
    pub workers: u32,
    /// Hashes that are being computed.
    pub running: u32,
    /// Hashes that are waiting.
    pub waiting: u32,
    /// How many hashes may wait; further ones are refused.
    pub capacity: u32,
    /// Hashes that were computed.
    pub completed: u64,
    /// Hashes that were refused.
    pub refused: u64,
}

impl HashMetrics {
    /// Reports whether another hash may wait, or returns `None` if there is no hash
    /// function.
    pub fn has_room(&self) -> Option<bool> {
        (self.capacity != 0).then_some(self.waiting < self.capacity)
    }
}

/// The metrics of the store. A build that does not count has no counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoreMetrics {
    /// The kind of store, such as `sqlite`.
    pub kind: String,
    /// Reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
    /// Batches that were committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<u64>,
    /// Batches whose conditions failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<u64>,
    /// Calls that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
}

/// The metrics of the messages to the owners of accounts. A build that delivers none does
/// not count failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeliveryMetrics {
    /// The kind of delivery, such as `smtp`.
    pub kind: String,
    /// Messages that are waiting or being sent.
    pub waiting: u32,
    /// How many messages may wait; further ones are refused.
    pub capacity: u32,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that were given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// Messages that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
}

/// The metrics of the sandbox. A build without a host of its own knows only itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstanceMetrics {
    /// Instances at work now, including this one.
    pub live: u32,
    /// Instances that were created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Calls that ended in a trap or at a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trapped: Option<u64>,
    /// The largest linear memory of any instance, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}
