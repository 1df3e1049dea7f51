//! `GET /metrics` returns the metrics since the start in the text format of
//! OpenMetrics, which Prometheus reads.

use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use prometheus_client::{collector::Collector, encoding::text};
use serde_json::json;
use user_auth_origins::authority::Authority;

use crate::api::{Caller as WitCaller, Principal};
use crate::embed::bindings::user_auth::plugin::telemetry::Metrics as Snapshot;
use crate::error::CallError;
use crate::http::app::{App, Caller};
use crate::http::body::{Body, Response};
use crate::http::respond::Wording;
use crate::metrics::OperationStats;

/// The permission that the account of an API key needs, where keys are required.
const PERMISSION: &str = "user-auth:metrics:read";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) async fn metrics(
    app: &App,
    caller: &Caller,
    named: Option<&Authority>,
    request: Request<Incoming>,
) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Wording::default().method_not_allowed("GET, HEAD");
    }
    let (parts, _) = request.into_parts();
    let headers = &parts.headers;
    let from = app.policy.proxies.client_ip(caller.peer.ip(), headers);
    let key = match app.check_rate(headers, from) {
        Ok(key) => key,
        Err(seconds) => return Wording::default().limited(seconds),
    };
    let turn = match app.turn(from).await {
        Ok(turn) => turn,
        Err(refusal) => return refusal,
    };
    if app.plugin.requires_credential() {
        let request = app.request(&parts, caller.peer.ip(), named);
        if let Err(refusal) = app.authenticate_key(request, key).await {
            return refusal;
        }
        if let Err(refusal) = permit(app, headers, from.to_string()).await {
            return refusal;
        }
    }
    match render(app) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            let value = HeaderValue::from_static(OPEN_METRICS);
            response.headers_mut().insert(CONTENT_TYPE, value);
            response.body_mut().keep(turn);
            response
        }
        Err(fmt::Error) => {
            Wording::default().refuse(StatusCode::INTERNAL_SERVER_ERROR, "the metrics are broken")
        }
    }
}

/// Checks that the account of the API key may read the metrics: any user can create a
/// key, and the number of messages sent reveals whether an address has an account.
async fn permit(app: &App, headers: &HeaderMap, source: String) -> Result<(), Response> {
    let key = app.policy.key_header.key(headers);
    let key = String::from_utf8_lossy(&key.unwrap_or_default()).into_owned();
    let caller = WitCaller {
        principal: Principal::ApiKey(key),
        source: Some(source),
    };
    match app.plugin.check_permission(caller, PERMISSION).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            let details = json!({ "permission": PERMISSION });
            Err(Wording::default().forbidden(details))
        }
        Ok(Err(_)) => Err(Wording::default().unavailable(&CallError::Busy)),
        Err(error) => Err(Wording::default().unavailable(&error)),
    }
}

fn render(app: &App) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let counters = &app.counters;
    let http = registry.sub_registry_with_prefix("user_auth_http");
    http.register(
        "requests",
        "Requests by path and status",
        counters.requests.clone(),
    );
    http.register(
        "rate_limited",
        "Requests rejected by the rate limit",
        counters.rate_limited.clone(),
    );
    http.register(
        "unauthenticated",
        "Requests without a valid API key, where one is required",
        counters.unauthenticated.clone(),
    );
    registry.register_collector(Box::new(Scrape {
        snapshot: app.plugin.metrics(),
        operations: app.plugin.operation_stats(),
        // Without credentials everyone may read the metrics, so delivery counts are
        // withheld, as in the metrics resource.
        tells_delivery: app.plugin.requires_credential(),
        resident_bytes: resident_bytes(),
    }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The metrics of the other parts at one moment.
struct Scrape {
    snapshot: Snapshot,
    operations: Vec<OperationStats>,
    tells_delivery: bool,
    resident_bytes: Option<u64>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Out(encoder);
        out.info(
            "user_auth_build",
            "Version of the host",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        self.operations(&mut out)?;
        self.password_hash(&mut out)?;
        self.store(&mut out)?;
        if self.tells_delivery {
            self.delivery(&mut out)?;
        }
        self.instances(&mut out)?;
        let uptime = self.snapshot.uptime_ms as f64 / 1000.0;
        out.seconds("user_auth_uptime", "Time since the start", uptime)?;
        match self.resident_bytes {
            Some(bytes) => out.bytes(
                "process_resident_memory",
                "Resident memory of the whole process",
                bytes,
            ),
            None => Ok(()),
        }
    }
}

impl Scrape {
    fn operations(&self, out: &mut Out) -> fmt::Result {
        let Out(encoder) = out;
        let mut calls = encoder.encode_descriptor(
            "user_auth_operations",
            "Operations by name and outcome",
            None,
            MetricType::Counter,
        )?;
        for stats in &self.operations {
            for (outcome, count) in &stats.outcomes {
                let labels = [("operation", &*stats.operation), ("outcome", outcome)];
                let metric = calls.encode_family(&labels)?;
                ConstCounter::new(*count).encode(metric)?;
            }
        }
        let mut latency = encoder.encode_descriptor(
            "user_auth_operation_duration",
            "Duration of operations inside the component",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for stats in &self.operations {
            let labels = [("operation", &*stats.operation)];
            latency
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(
                    stats.sum_seconds,
                    stats.calls,
                    &stats.latency,
                    None,
                )?;
        }
        Ok(())
    }

    fn password_hash(&self, out: &mut Out) -> fmt::Result {
        let hash = &self.snapshot.password_hash;
        let name = |name| format!("user_auth_password_hash_{name}");
        out.gauge(&name("workers"), "Hashing threads", hash.workers)?;
        out.gauge(&name("running"), "Hashes being computed", hash.running)?;
        out.gauge(&name("waiting"), "Hashes waiting", hash.waiting)?;
        out.gauge(
            &name("capacity"),
            "Most hashes that may wait",
            hash.capacity,
        )?;
        out.counter(&name("completed"), "Hashes computed", hash.completed)?;
        out.counter(&name("refused"), "Hashes refused", hash.refused)
    }

    fn store(&self, out: &mut Out) -> fmt::Result {
        let store = &self.snapshot.store;
        let name = |name| format!("user_auth_store_{name}");
        out.info("user_auth_store", "Kind of store", &[("kind", &store.kind)])?;
        out.counter(&name("reads"), "Reads", store.reads)?;
        out.counter(&name("commits"), "Commits", store.commits)?;
        out.counter(
            &name("conflicts"),
            "Commits that conflicted with another",
            store.conflicts,
        )?;
        out.counter(&name("failures"), "Failures of the store", store.failures)
    }

    fn delivery(&self, out: &mut Out) -> fmt::Result {
        let delivery = &self.snapshot.delivery;
        let name = |name| format!("user_auth_delivery_{name}");
        out.gauge(&name("waiting"), "Messages waiting", delivery.waiting)?;
        out.gauge(
            &name("capacity"),
            "Most messages that may wait",
            delivery.capacity,
        )?;
        out.counter(&name("delivered"), "Messages delivered", delivery.delivered)?;
        out.counter(&name("failed"), "Messages given up", delivery.failed)?;
        out.counter(&name("refused"), "Messages refused", delivery.refused)
    }

    fn instances(&self, out: &mut Out) -> fmt::Result {
        let instances = &self.snapshot.instances;
        let name = |name| format!("user_auth_instances_{name}");
        out.gauge(&name("live"), "Instances in use", instances.live)?;
        out.counter(&name("created"), "Instances created", instances.created)?;
        out.counter(
            &name("trapped"),
            "Calls that ended in a trap or at a limit",
            instances.trapped,
        )?;
        out.bytes(
            &name("peak_memory"),
            "Most memory that one instance has used",
            instances.peak_memory_bytes,
        )
    }
}

/// Writes metrics that have a single value.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.one(name, help, None, ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: u32) -> fmt::Result {
        self.one(name, help, None, ConstGauge::new(value))
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        // Memory sizes fit into 63 bits.
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.one(name, help, Some(&Unit::Bytes), ConstGauge::new(value))
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.one(name, help, Some(&Unit::Seconds), ConstGauge::new(value))
    }

    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str); 1]) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Info)?
            .encode_info(labels)
    }

    fn one<M>(&mut self, name: &str, help: &str, unit: Option<&Unit>, metric: M) -> fmt::Result
    where
        M: EncodeMetric + TypedMetric,
    {
        let encoder = self.0.encode_descriptor(name, help, unit, M::TYPE)?;
        metric.encode(encoder)
    }
}

/// Returns the resident memory, or `None` if the system does not report it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
