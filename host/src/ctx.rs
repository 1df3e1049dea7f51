//! What belongs to one call: its context in the wasmtime store, and the meter
//! that ends it when it uses too much.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{Span, debug, enabled, error, warn};
use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::audit_log::Line;
use crate::bindings::user_auth::plugin::telemetry::OperationAudit;
use crate::call::CallError;
use crate::client::ClientHandle;
use crate::host::{Shared, UserAuthHost};
use crate::ports::wasi::Wasi;
use crate::source::Source;
use crate::time;
use crate::trace::Trace;

/// Operations that run one another; what is deeper is not followed.
const MAX_DEPTH: usize = 8;
/// What a line of the log counts for besides its text: time, severity and the like.
const LINE_BYTES: usize = 128;

/// The context of one instance of the component, for one call: what its imports work
/// on, and a meter that the [`Limits`](crate::Limits) hold. [`UserAuthHost::ctx`]
/// makes it.
///
/// It lies in the `T` of a [`wasmtime::Store<T>`], where the imports find it through
/// [`UserAuthView`](crate::UserAuthView); a `Store<UserAuthCtx>` will do as well. The
/// meter counts from its making on, so an instance that is kept for another call has
/// less left for that, and what it left in memory lies open to it: make both anew,
/// which costs some microseconds.
///
/// As a [`ResourceLimiter`] it bounds memory, tables and instances:
/// [`limit_store`](crate::limit_store) makes it that of a store.
pub struct UserAuthCtx {
    host: UserAuthHost,
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
    StoreBytes,
}

#[derive(Default)]
struct Meter {
    host_calls: u32,
    store_bytes: usize,
    operations: u32,
    notification_bytes: usize,
    log_bytes: usize,
    /// Ticks of the epoch that the instance has seen.
    ticks: u32,
    /// Time waited for the host, which is not the instance's own.
    credit: Duration,
    memory_bytes: usize,
    exceeded: Option<Exceeded>,
}

impl UserAuthCtx {
    /// One more instance is live until this is dropped.
    pub(crate) fn new(host: UserAuthHost, client: ClientHandle, source: Option<String>) -> Self {
        host.shared().metrics.instances.enter();
        Self {
            host,
            client,
            source,
            trace: Trace::current(),
            running: Vec::new(),
            wasi: None,
            meter: Meter::default(),
        }
    }

    /// Sends what the component has for the MCP client of the call to this one:
    /// notifications on the way. Nowhere unless called.
    pub fn with_client(mut self, client: ClientHandle) -> Self {
        self.client = client;
        self
    }

    /// Names the IP address that the call comes from, in the audit log, and for its share
    /// of the work that the host does for all: while passwords wait to be hashed, sources
    /// take turns. `local` unless called. What the component itself is to know of it, its
    /// functions are given.
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it shares with all others.
    pub fn host(&self) -> &UserAuthHost {
        &self.host
    }

    /// Why a call into the component ended without an answer, by the error that it
    /// ended with: the limit that it passed, or a trap. Counts it, and logs it; so to
    /// be asked once for each.
    pub fn failure(&self, error: &wasmtime::Error) -> CallError {
        if let Some(exceeded) = self.meter.exceeded {
            return self.failed(exceeded.into());
        }
        debug!("{error:?}");
        self.failed(CallError::Trapped(error.root_cause().to_string()))
    }

    /// Counts and logs that a call was given up after
    /// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call): gives
    /// [`CallError::OutOfTime`].
    pub fn timed_out(&self) -> CallError {
        self.failed(CallError::OutOfTime)
    }

    fn failed(&self, failure: CallError) -> CallError {
        let instances = &self.shared().metrics.instances;
        instances.trapped.fetch_add(1, Relaxed);
        error!(error = %failure, "a call was ended");
        failure
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.host.shared()
    }

    /// Whose share its work is of.
    pub(crate) fn source(&self) -> Source {
        Source::of(self.source.as_deref())
    }

    pub(crate) fn client(&self) -> &ClientHandle {
        &self.client
    }

    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        let shared = self.host.shared();
        self.wasi.get_or_insert_with(|| Wasi::new(shared))
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
        let Some(log) = &self.shared().audit_log else {
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

    /// Counts a call to the host; `Err` traps the component.
    pub(crate) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        self.meter.host_calls += 1;
        if self.meter.host_calls <= self.host.limits().host_calls_per_call {
            return Ok(());
        }
        self.meter.exceeded = Some(Exceeded::HostCalls);
        Err(wasmtime::Error::msg("too many calls to the host"))
    }

    /// Counts bytes that go to the store or come from it; `Err` traps the component.
    pub(crate) fn count_store_bytes(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.meter.store_bytes = self.meter.store_bytes.saturating_add(bytes);
        if self.meter.store_bytes <= self.host.limits().store_bytes_per_call {
            return Ok(());
        }
        self.meter.exceeded = Some(Exceeded::StoreBytes);
        Err(wasmtime::Error::msg("too much read and written"))
    }

    /// Counts an operation that has ended; `Err` traps the component.
    pub(crate) fn count_operation(&mut self) -> wasmtime::Result<()> {
        self.meter.operations += 1;
        if self.meter.operations <= self.host.limits().operations_per_call {
            return Ok(());
        }
        self.meter.exceeded = Some(Exceeded::HostCalls);
        Err(wasmtime::Error::msg("too many operations"))
    }

    /// Whether a notification of so many bytes may still be sent.
    pub(crate) fn may_send(&mut self, bytes: usize) -> bool {
        let sent = self.meter.notification_bytes.saturating_add(bytes);
        if sent > self.host.limits().notification_bytes_per_call {
            return false;
        }
        self.meter.notification_bytes = sent;
        true
    }

    /// Whether one more line may be logged, with a text of so many bytes: for what the
    /// component has logged, and for what it can cause at will.
    pub(crate) fn may_log(&mut self, bytes: usize) -> bool {
        let limit = self.host.limits().log_bytes_per_call;
        let line = bytes.saturating_add(LINE_BYTES);
        let logged = self.meter.log_bytes.saturating_add(line);
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
        let tick = self.host.limits().epoch_tick;
        self.meter.credit += started.elapsed().min(tick);
        result
    }

    /// The epoch has moved on while the instance was running: lets others run,
    /// or ends it.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let limits = self.host.limits();
        self.meter.ticks += 1;
        let used = limits.epoch_tick.saturating_mul(self.meter.ticks);
        if used.saturating_sub(self.meter.credit) <= limits.cpu_per_call {
            return Ok(UpdateDeadline::Yield(1));
        }
        self.meter.exceeded = Some(Exceeded::Cpu);
        Err(wasmtime::Error::msg("out of processor time"))
    }
}

impl ResourceLimiter for UserAuthCtx {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.meter.memory_bytes.saturating_sub(current);
        let total = total.saturating_add(desired);
        if total > self.host.limits().memory_bytes {
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
        if desired <= self.host.limits().table_elements {
            return Ok(true);
        }
        self.meter.exceeded = Some(Exceeded::Memory);
        Ok(false)
    }

    fn instances(&self) -> usize {
        self.host.limits().core_instances as usize
    }

    fn tables(&self) -> usize {
        self.host.limits().tables as usize
    }

    fn memories(&self) -> usize {
        self.host.limits().memories as usize
    }
}

impl Drop for UserAuthCtx {
    fn drop(&mut self) {
        // The component has trapped, or its client has gone.
        while let Some(Running { name, began, .. }) = self.running.pop() {
            let duration_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.audit(&name, "aborted", None, duration_us, None);
        }
        let instances = &self.shared().metrics.instances;
        instances.leave(self.meter.memory_bytes);
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
