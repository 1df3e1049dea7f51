//! What belongs to one call: its state in the wasmtime store, and the meter
//! that ends it when it uses too much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Span, debug, enabled, warn};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::audit_log::{AuditLog, Line};
use crate::bindings::user_auth::plugin::telemetry::{Metrics as Snapshot, OperationAudit};
use crate::client::ClientHandle;
use crate::delivery::Outbox;
use crate::hasher::Hasher;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::ports::wasi::Wasi;
use crate::store::Store;
use crate::time;
use crate::trace::Trace;

/// Operations that run one another; what is deeper is not followed.
const MAX_DEPTH: usize = 8;

/// What all calls share.
pub(crate) struct Host {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Keys,
    pub(crate) hasher: Hasher,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) metrics: Metrics,
    pub(crate) audit_log: Option<Arc<AuditLog>>,
    pub(crate) limits: Limits,
    pub(crate) settings: Vec<(String, String)>,
}

impl Host {
    /// All numbers as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let hasher = self.hasher.metrics();
        let outbox = self.outbox.metrics();
        self.metrics.snapshot(self.store.kind(), hasher, outbox)
    }
}

/// What one call has.
pub(crate) struct State {
    host: Arc<Host>,
    client: ClientHandle,
    /// The address that the call came from.
    source: Option<String>,
    trace: Trace,
    /// The operations that are going on, each run by the one before it.
    running: Vec<Running>,
    /// Made when it is first asked for: a call need not touch WASI.
    wasi: Option<Wasi>,
    meter: Meter,
}

/// An operation that has begun.
pub(crate) struct Running {
    name: String,
    began: Instant,
    pub(crate) span: Span,
}

/// The limit that ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Cpu,
    Memory,
    HostCalls,
}

#[derive(Default)]
struct Meter {
    host_calls: u32,
    notification_bytes: usize,
    log_bytes: usize,
    /// Ticks of the epoch that the instance has seen.
    ticks: u32,
    /// Time waited for the host, which is not the instance's own.
    credit: Duration,
    memory_bytes: usize,
    exceeded: Option<Exceeded>,
}

impl State {
    pub(crate) fn new(
        host: Arc<Host>,
        client: ClientHandle,
        source: Option<String>,
        trace: Trace,
    ) -> Self {
        Self {
            host,
            client,
            source,
            trace,
            running: Vec::new(),
            wasi: None,
            meter: Meter::default(),
        }
    }

    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(crate) fn client(&self) -> &ClientHandle {
        &self.client
    }

    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(|| Wasi::new(&self.host))
    }

    /// The span of what is going on now.
    pub(crate) fn span(&self) -> &Span {
        match self.running.last() {
            Some(running) => &running.span,
            None => self.trace.span(),
        }
    }

    /// An operation begins.
    pub(crate) fn begin_operation(&mut self, name: String) {
        if self.running.len() >= MAX_DEPTH {
            return;
        }
        let within = self.running.last().map(|running| &running.span);
        let span = self.trace.operation(within, &name);
        self.running.push(Running {
            name,
            began: Instant::now(),
            span,
        });
    }

    /// The operation that began last ends, if it has this name.
    pub(crate) fn end_operation(&mut self, name: &str) -> Option<Running> {
        self.running.pop_if(|running| running.name == name)
    }

    /// Writes the line of an operation to the audit log, if there is one.
    pub(crate) fn audit(
        &self,
        operation: &str,
        outcome: &'static str,
        code: Option<i32>,
        duration_us: u64,
        audit: Option<&OperationAudit>,
    ) {
        let Some(log) = &self.host.audit_log else {
            return;
        };
        let text =
            |of: fn(&OperationAudit) -> &Option<String>| audit.and_then(|it| of(it).as_deref());
        // Read and written anew: what comes from the component need not be one line.
        let input = text(|audit| &audit.input).and_then(|input| serde_json::from_str(input).ok());
        log.write(Line {
            time: time::now(),
            operation,
            outcome,
            code,
            duration_us,
            credential: audit.map(|audit| crate::ports::credential(audit.credential)),
            actor: text(|audit| &audit.actor),
            session_id: text(|audit| &audit.session_id),
            source: self.source.as_deref().unwrap_or("local"),
            account: text(|audit| &audit.account),
            trace_id: self.trace.id().to_string(),
            input,
            lost_before: 0,
        });
    }

    /// The limit that was passed, if one was.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.meter.exceeded
    }

    /// Counts a call to the host; `Err` traps the component.
    pub(crate) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        self.meter.host_calls += 1;
        if self.meter.host_calls <= self.host.limits.host_calls_per_call {
            return Ok(());
        }
        self.meter.exceeded = Some(Exceeded::HostCalls);
        Err(wasmtime::Error::msg("too many calls to the host"))
    }

    /// Whether a notification of so many bytes may still be sent.
    pub(crate) fn may_send(&mut self, bytes: usize) -> bool {
        let sent = self.meter.notification_bytes.saturating_add(bytes);
        if sent > self.host.limits.notification_bytes_per_call {
            return false;
        }
        self.meter.notification_bytes = sent;
        true
    }

    /// Whether so many bytes may still be logged.
    pub(crate) fn may_log(&mut self, bytes: usize) -> bool {
        let limit = self.host.limits.log_bytes_per_call;
        let logged = self.meter.log_bytes.saturating_add(bytes);
        if logged > limit && self.meter.log_bytes <= limit {
            warn!("a call logs too much; the rest of it is left out");
        }
        self.meter.log_bytes = logged;
        logged <= limit
    }

    /// Waits for work of the host, at no cost to the instance's processor time.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        // However long it took, the instance sees one tick at most for it.
        let tick = self.host.limits.epoch_tick;
        self.meter.credit += started.elapsed().min(tick);
        result
    }

    /// The epoch has moved on while the instance was running: lets others run,
    /// or ends it.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let limits = &self.host.limits;
        self.meter.ticks += 1;
        let used = limits.epoch_tick.saturating_mul(self.meter.ticks);
        if used.saturating_sub(self.meter.credit) <= limits.cpu_per_call {
            return Ok(UpdateDeadline::Yield(1));
        }
        self.meter.exceeded = Some(Exceeded::Cpu);
        Err(wasmtime::Error::msg("out of processor time"))
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.meter.memory_bytes.saturating_sub(current);
        let total = total.saturating_add(desired);
        if total > self.host.limits.memory_bytes {
            self.meter.exceeded = Some(Exceeded::Memory);
            return Ok(false);
        }
        self.meter.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired <= self.host.limits.table_elements {
            return Ok(true);
        }
        self.meter.exceeded = Some(Exceeded::Memory);
        Ok(false)
    }

    fn instances(&self) -> usize {
        self.host.limits.core_instances as usize
    }

    fn tables(&self) -> usize {
        self.host.limits.tables as usize
    }

    fn memories(&self) -> usize {
        self.host.limits.memories as usize
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // The component has trapped, or its client has gone.
        while let Some(Running { name, began, .. }) = self.running.pop() {
            let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.audit(&name, "aborted", None, duration_us, None);
        }
        let instances = &self.host.metrics.instances;
        instances.saw_memory(self.meter.memory_bytes);
        let Some(wasi) = self
            .wasi
            .as_ref()
            .filter(|_| enabled!(tracing::Level::DEBUG))
        else {
            return;
        };
        let printed = wasi.printed();
        if !printed.is_empty() {
            debug!(target: "component", printed = %String::from_utf8_lossy(&printed), "printed");
        }
    }
}
