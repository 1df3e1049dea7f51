//! Counters and log lines inside the component. The counters cover this instance; log
//! lines go to standard error as JSON.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;

use serde_json::{Map, Value, json};

use crate::json;
use crate::ports::metrics::{
    DeliveryMetrics, HashMetrics, InstanceMetrics, Latency, Metrics, OperationMetrics, StoreMetrics,
};
use crate::ports::{Clock, Ended, Severity, Telemetry};
use crate::types::time::Timestamp;
use crate::unicode::printable::is_deceptive;

/// Latencies are counted in buckets by powers of two, in microseconds.
const BUCKETS: usize = 40;

/// Counts calls, and writes log lines at or above the level in the variable
/// `LOG_LEVEL`: `DEBUG`, `INFO`, `ERROR`, or the default `WARN`.
pub struct Log<'a> {
    clock: &'a dyn Clock,
    /// The kind of the store.
    store: &'static str,
}

/// The counters of one operation.
struct Numbers {
    calls: u64,
    failures: u64,
    max_us: u64,
    latencies: [u64; BUCKETS],
}

#[derive(Default)]
struct Counted {
    began_us: Option<u64>,
    operations: BTreeMap<String, Numbers>,
}

thread_local! {
    static COUNTED: RefCell<Counted> = RefCell::default();
}

impl<'a> Log<'a> {
    /// Creates a log that reads `clock` and reports a store of the kind `store`.
    pub const fn new(clock: &'a dyn Clock, store: &'static str) -> Log<'a> {
        Log { clock, store }
    }
}

impl Telemetry for Log<'_> {
    fn log(&self, severity: Severity, message: &str, fields: &Map<String, Value>) {
        let (level, word) = rank(severity);
        if level >= least() {
            write(self.clock.now(), word, message, fields);
        }
    }

    fn operation_began(&self, _: &str) -> bool {
        COUNTED.with_borrow_mut(|counted| {
            counted
                .began_us
                .get_or_insert_with(|| self.clock.monotonic_us());
        });
        false
    }

    fn operation_ended(&self, ended: &Ended) {
        COUNTED.with_borrow_mut(|counted| {
            let numbers = counted.operations.entry(ended.operation.to_owned());
            numbers.or_default().count(ended);
        });
    }

    #[expect(
        clippy::expect_used,
        reason = "the record was serialised by this component"
    )]
    fn audited(&self, record: &str) {
        let record = json::parse(record.as_bytes()).expect("a serialised record");
        let fields = json::fields([("record", record.into())]);
        if least() <= rank(Severity::Info).0 {
            write(self.clock.now(), "info", "audited", &fields);
        }
    }

    fn snapshot(&self) -> Metrics {
        COUNTED.with_borrow(|counted| {
            let now_us = self.clock.monotonic_us();
            let uptime_us = now_us.saturating_sub(counted.began_us.unwrap_or(now_us));
            Metrics {
                uptime_ms: uptime_us / 1000,
                operations: counted
                    .operations
                    .iter()
                    .map(|(name, numbers)| (name.clone(), numbers.metrics()))
                    .collect(),
                password_hash: hashes(),
                store: StoreMetrics {
                    kind: self.store.to_owned(),
                    ..StoreMetrics::default()
                },
                delivery: DeliveryMetrics {
                    kind: "none".to_owned(),
                    ..DeliveryMetrics::default()
                },
                instances: InstanceMetrics {
                    live: 1,
                    ..InstanceMetrics::default()
                },
            }
        })
    }
}

/// Returns the numbers on hashes. The caller computes a hash itself, so one runs at a
/// time. Some builds compute none.
fn hashes() -> HashMetrics {
    let places = u32::from(cfg!(any(
        test,
        feature = "store-memory",
        feature = "store-keyvalue"
    )));
    HashMetrics {
        workers: places,
        capacity: places,
        completed: super::hash::completed(),
        ..HashMetrics::default()
    }
}

impl Numbers {
    fn count(&mut self, ended: &Ended) {
        self.calls += 1;
        self.failures += u64::from(ended.code.is_some());
        self.max_us = self.max_us.max(ended.duration_us);
        let bucket = ended.duration_us.checked_ilog2().unwrap_or(0) as usize;
        self.latencies[bucket.min(BUCKETS - 1)] += 1;
    }

    /// Returns the upper end of the bucket below which this percentage of calls falls,
    /// or the longest duration if that is smaller.
    fn percentile_us(&self, percent: u64) -> u64 {
        let wanted = (self.calls * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in (1..).zip(self.latencies) {
            seen += count;
            if seen >= wanted {
                return (1_u64 << bucket).min(self.max_us);
            }
        }
        self.max_us
    }

    fn metrics(&self) -> OperationMetrics {
        OperationMetrics {
            calls: self.calls,
            failures: self.failures,
            latency_us: Latency {
                p50: self.percentile_us(50),
                p95: self.percentile_us(95),
                p99: self.percentile_us(99),
                max: self.max_us,
            },
        }
    }
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers {
            calls: 0,
            failures: 0,
            max_us: 0,
            latencies: [0; BUCKETS],
        }
    }
}

fn write(now: Timestamp, level: &str, message: &str, fields: &Map<String, Value>) {
    let mut line = json!({"time": now.to_rfc3339(), "level": level, "message": message});
    for (name, value) in fields {
        line[name.as_str()] = value.clone();
    }
    eprintln!("{}", escaped(&json::text(&line)));
}

/// Escapes the invisible characters in JSON text with JSON's own escapes.
fn escaped(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        if !is_deceptive(character) {
            line.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            line += &format!("\\u{unit:04x}");
        }
    }
    line
}

fn least() -> u8 {
    let level = env::var("LOG_LEVEL").unwrap_or_default();
    let severity = match level.to_ascii_uppercase().as_str() {
        "DEBUG" | "TRACE" => Severity::Debug,
        "INFO" => Severity::Info,
        "ERROR" => Severity::Error,
        _ => Severity::Warn,
    };
    rank(severity).0
}

fn rank(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Debug => (0, "debug"),
        Severity::Info => (1, "info"),
        Severity::Warn => (2, "warn"),
        Severity::Error => (3, "error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn metrics_have_the_form_of_the_resource_without_what_is_not_counted() {
        let world = World::new();
        let log = Log::new(&world, "memory");
        log.operation_ended(&Ended {
            operation: "verify_token",
            code: Some(-32000),
            duration_us: 5,
            audit: None,
        });
        let metrics = json::to_value(log.snapshot());
        let latency_us = json!({"p50": 5, "p95": 5, "p99": 5, "max": 5});
        let ended = json!({"calls": 1, "failures": 1, "latency_us": latency_us});
        assert_eq!(metrics["operations"]["verify_token"], ended);
        assert_eq!(metrics["uptime_ms"], 0);
        assert_eq!(metrics["password_hash"]["capacity"], 1);
        assert_eq!(metrics["store"], json!({"kind": "memory"}));
        assert_eq!(
            metrics["delivery"],
            json!({"kind": "none", "waiting": 0, "capacity": 0, "delivered": 0})
        );
        assert_eq!(metrics["instances"], json!({"live": 1}));
    }

    #[test]
    fn deceptive_characters_in_log_lines_are_escaped_without_changing_the_value() {
        let value = json!({"a\u{2028}": "b\u{202e}\u{e0041}\u{85}\n é🙂"});
        let line = escaped(&value.to_string());
        assert!(!line.contains(is_deceptive), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
