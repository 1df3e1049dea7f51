//! Metrics, log and audit lines, through the import `telemetry`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Host;
use crate::component::contract::imports::telemetry;
use crate::json;
use crate::ports::metrics::{
    DeliveryMetrics, HashMetrics, InstanceMetrics, Latency, Metrics, OperationMetrics, StoreMetrics,
};
use crate::ports::{Audit, Credential, Ended, Severity, Telemetry};

impl Telemetry for Host {
    fn log(&self, severity: Severity, message: &str, fields: &Map<String, Value>) {
        let severity = match severity {
            Severity::Debug => telemetry::Severity::Debug,
            Severity::Info => telemetry::Severity::Info,
            Severity::Warn => telemetry::Severity::Warn,
            Severity::Error => telemetry::Severity::Error,
        };
        telemetry::log(severity, message, &json::text(fields));
    }

    fn operation_began(&self, operation: &str) -> bool {
        telemetry::operation_began(operation)
    }

    fn operation_ended(&self, ended: &Ended) {
        telemetry::operation_ended(&telemetry::OperationEvent {
            operation: ended.operation.to_owned(),
            code: ended.code,
            duration_us: ended.duration_us,
            audit: ended.audit.clone().map(audit),
        });
    }

    fn audited(&self, record: &str) {
        telemetry::audited(record);
    }

    fn snapshot(&self) -> Metrics {
        let telemetry::Metrics {
            uptime_ms,
            operations,
            password_hash: hash,
            store,
            delivery,
            instances,
        } = telemetry::snapshot();
        let mut numbers = BTreeMap::new();
        numbers.extend(operations.into_iter().map(operation));
        Metrics {
            uptime_ms,
            operations: numbers,
            password_hash: HashMetrics {
                workers: hash.workers,
                running: hash.running,
                waiting: hash.waiting,
                capacity: hash.capacity,
                completed: hash.completed,
                refused: hash.refused,
            },
            store: StoreMetrics {
                kind: store.kind,
                reads: Some(store.reads),
                commits: Some(store.commits),
                conflicts: Some(store.conflicts),
                failures: Some(store.failures),
            },
            delivery: DeliveryMetrics {
                kind: delivery.kind,
                waiting: delivery.waiting,
                capacity: delivery.capacity,
                delivered: delivery.delivered,
                failed: Some(delivery.failed),
                refused: Some(delivery.refused),
            },
            instances: InstanceMetrics {
                live: instances.live,
                created: Some(instances.created),
                trapped: Some(instances.trapped),
                peak_memory_bytes: Some(instances.peak_memory_bytes),
            },
        }
    }
}

fn operation(metrics: telemetry::OperationMetrics) -> (String, OperationMetrics) {
    let numbers = OperationMetrics {
        calls: metrics.calls,
        failures: metrics.failures,
        latency_us: Latency {
            p50: metrics.p50_us,
            p95: metrics.p95_us,
            p99: metrics.p99_us,
            max: metrics.max_us,
        },
    };
    (metrics.operation, numbers)
}

fn audit(audit: Audit) -> telemetry::OperationAudit {
    telemetry::OperationAudit {
        credential: match audit.credential {
            Credential::Anonymous => telemetry::Credential::Anonymous,
            Credential::AccessToken => telemetry::Credential::AccessToken,
            Credential::ApiKey => telemetry::Credential::ApiKey,
            Credential::Operator => telemetry::Credential::Operator,
        },
        actor: audit.actor,
        session_id: audit.session_id.map(|id| id.to_string()),
        account: audit.account.map(|id| id.to_string()),
        input: audit.input,
    }
}
