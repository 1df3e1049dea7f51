//! Counters, log and audit lines, by the import `telemetry`.

use serde_json::{Map, Value, json};

use super::Host;
use crate::component::contract::imports::telemetry;
use crate::json;
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

    fn snapshot(&self) -> Value {
        let metrics = telemetry::snapshot();
        let mut operations = Map::new();
        for numbers in metrics.operations {
            let latency = json!({
                "p50": numbers.p50_us,
                "p95": numbers.p95_us,
                "p99": numbers.p99_us,
                "max": numbers.max_us,
            });
            let entry = json!({
                "calls": numbers.calls,
                "failures": numbers.failures,
                "latency_us": latency,
            });
            operations.insert(numbers.operation, entry);
        }
        let hash = metrics.password_hash;
        let store = metrics.store;
        let instances = metrics.instances;
        let delivery = metrics.delivery;
        json!({
            "uptime_ms": metrics.uptime_ms,
            "operations": operations,
            "password_hash": {
                "workers": hash.workers,
                "running": hash.running,
                "waiting": hash.waiting,
                "capacity": hash.capacity,
                "completed": hash.completed,
                "refused": hash.refused,
            },
            "store": {
                "kind": store.kind,
                "reads": store.reads,
                "commits": store.commits,
                "conflicts": store.conflicts,
                "failures": store.failures,
            },
            "delivery": {
                "kind": delivery.kind,
                "waiting": delivery.waiting,
                "capacity": delivery.capacity,
                "delivered": delivery.delivered,
                "failed": delivery.failed,
                "refused": delivery.refused,
            },
            "instances": {
                "live": instances.live,
                "created": instances.created,
                "trapped": instances.trapped,
                "peak_memory_bytes": instances.peak_memory_bytes,
            },
        })
    }
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
