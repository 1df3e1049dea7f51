//! Implements the ports with the component's imports.

use serde_json::{Map, Value, json};

use super::contract::imports::{client, delivery, keys, password_hash, store, telemetry, types};
use super::wasi::Wasi;
use crate::ports::*;

/// The world outside the sandbox.
struct Host;

/// All ports, each an import.
pub fn all() -> Ports<'static> {
    Ports {
        store: &Host,
        password_hash: &Host,
        keys: &Host,
        clock: &Wasi,
        random: &Wasi,
        telemetry: &Host,
        client: &Host,
        delivery: &Host,
    }
}

impl From<types::Unavailable> for Unavailable {
    fn from(unavailable: types::Unavailable) -> Unavailable {
        Unavailable {
            reason: unavailable.reason,
            retry_after_ms: unavailable.retry_after_ms,
        }
    }
}

impl From<store::Entry> for Entry {
    fn from(entry: store::Entry) -> Entry {
        Entry {
            key: entry.key,
            value: entry.value,
            version: entry.version,
        }
    }
}

impl Store for Host {
    fn get(&self, keys: &[String]) -> Result<Vec<Option<Entry>>, Unavailable> {
        let entries = store::get(keys)?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.map(Entry::from))
            .collect())
    }

    fn commit(&self, batch: &[Mutation]) -> Result<Outcome, Unavailable> {
        let batch: Vec<store::Mutation> = batch
            .iter()
            .map(|mutation| store::Mutation {
                key: mutation.key.clone(),
                expect: match &mutation.expect {
                    Expect::Any => store::Expect::Any,
                    Expect::Absent => store::Expect::Absent,
                    Expect::At(version) => store::Expect::At(version.clone()),
                },
                put: mutation.put.clone(),
                ttl_ms: mutation.ttl_ms,
            })
            .collect();
        Ok(match store::commit(&batch)? {
            store::Outcome::Committed => Outcome::Committed,
            store::Outcome::Conflict(index) => Outcome::Conflict(index),
        })
    }

    fn add(&self, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Unavailable> {
        Ok(store::add(key, delta, ttl_ms)?)
    }

    fn scan(&self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Unavailable> {
        let page = store::scan(prefix, after, limit)?;
        Ok(Page {
            entries: page.entries.into_iter().map(Entry::from).collect(),
            next: page.next,
        })
    }
}

impl PasswordHash for Host {
    fn argon2id(
        &self,
        password: &[u8],
        salt: &[u8],
        secret: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::argon2id(
            password,
            salt,
            secret,
            wit(parameters),
        )?)
    }

    fn bcrypt(&self, password: &[u8], salt: &[u8], cost: u32) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::bcrypt(password, salt, cost)?)
    }

    fn scrypt(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: ScryptParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        let parameters = password_hash::ScryptParameters {
            log_n: parameters.log_n,
            block_size: parameters.block_size,
            parallelism: parameters.parallelism,
            output_length: parameters.output_length,
        };
        Ok(password_hash::scrypt(password, salt, parameters)?)
    }

    fn pbkdf2_sha256(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha256(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn pbkdf2_sha512(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha512(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn pbkdf2_sha1(
        &self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        output_length: u32,
    ) -> Result<Vec<u8>, Unavailable> {
        let hash = password_hash::pbkdf2_sha1(password, salt, iterations, output_length)?;
        Ok(hash)
    }

    fn argon2i(
        &self,
        password: &[u8],
        salt: &[u8],
        parameters: HashParameters,
    ) -> Result<Vec<u8>, Unavailable> {
        Ok(password_hash::argon2i(password, salt, wit(parameters))?)
    }
}

fn wit(parameters: HashParameters) -> password_hash::Parameters {
    password_hash::Parameters {
        memory_kib: parameters.memory_kib,
        iterations: parameters.iterations,
        parallelism: parameters.parallelism,
        output_length: parameters.output_length,
    }
}

impl Keys for Host {
    fn derive(&self, label: &str) -> Result<[u8; 32], Unavailable> {
        let key = keys::derive(label)?;
        key.try_into().map_err(|_| Unavailable {
            reason: "a derived key does not have 32 bytes".to_owned(),
            retry_after_ms: 1000,
        })
    }
}

impl Telemetry for Host {
    fn log(&self, severity: Severity, message: &str, fields: &Map<String, Value>) {
        let severity = match severity {
            Severity::Debug => telemetry::Severity::Debug,
            Severity::Info => telemetry::Severity::Info,
            Severity::Warn => telemetry::Severity::Warn,
            Severity::Error => telemetry::Severity::Error,
        };
        let fields = serde_json::to_string(fields).unwrap_or_default();
        telemetry::log(severity, message, &fields);
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

impl Delivery for Host {
    fn deliver(&self, message: &Message) -> Result<(), Unavailable> {
        let (code, expires_at) = match &message.code {
            Some((code, ends)) => (Some(code.expose().to_owned()), Some(ends.to_rfc3339())),
            None => (None, None),
        };
        delivery::deliver(&delivery::Message {
            kind: match message.kind {
                MessageKind::PasswordReset => delivery::Kind::PasswordReset,
                MessageKind::EmailVerification => delivery::Kind::EmailVerification,
                MessageKind::EmailChange => delivery::Kind::EmailChange,
                MessageKind::PasswordChanged => delivery::Kind::PasswordChanged,
                MessageKind::EmailChangeRequested => delivery::Kind::EmailChangeRequested,
                MessageKind::EmailChanged => delivery::Kind::EmailChanged,
                MessageKind::SecondFactorChanged => delivery::Kind::SecondFactorChanged,
                MessageKind::LoginFromNewSource => delivery::Kind::LoginFromNewSource,
                MessageKind::ApiKeyCreated => delivery::Kind::ApiKeyCreated,
            },
            to: message.to.clone(),
            username: message.username.clone(),
            user_id: message.user_id.to_string(),
            code,
            expires_at,
        })?;
        Ok(())
    }
}

impl Client for Host {
    fn notify(&self, notification: &str) {
        client::notify(notification);
    }

    fn started(&self, id: &str) {
        client::started(id);
    }

    fn cancel(&self, id: &str) {
        client::cancel(id);
    }

    fn log_level(&self) -> Option<LogLevel> {
        client::get_log_level().map(|level| match level {
            client::LogLevel::Debug => LogLevel::Debug,
            client::LogLevel::Info => LogLevel::Info,
            client::LogLevel::Notice => LogLevel::Notice,
            client::LogLevel::Warning => LogLevel::Warning,
            client::LogLevel::Error => LogLevel::Error,
            client::LogLevel::Critical => LogLevel::Critical,
            client::LogLevel::Alert => LogLevel::Alert,
            client::LogLevel::Emergency => LogLevel::Emergency,
        })
    }

    fn set_log_level(&self, level: LogLevel) {
        client::set_log_level(match level {
            LogLevel::Debug => client::LogLevel::Debug,
            LogLevel::Info => client::LogLevel::Info,
            LogLevel::Notice => client::LogLevel::Notice,
            LogLevel::Warning => client::LogLevel::Warning,
            LogLevel::Error => client::LogLevel::Error,
            LogLevel::Critical => client::LogLevel::Critical,
            LogLevel::Alert => client::LogLevel::Alert,
            LogLevel::Emergency => client::LogLevel::Emergency,
        });
    }
}
