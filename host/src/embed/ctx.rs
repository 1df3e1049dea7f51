//! The state of one call: its context in the wasmtime store, and the meter that ends it
//! when it exceeds a limit.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{Span, debug, enabled, error, warn};
use wasmtime::{ResourceLimiter, UpdateDeadline};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::audit_log::{Line, credential};
use crate::embed::bindings::user_auth::plugin::telemetry::OperationAudit;
use crate::embed::client::{ClientHandle, NoClient};
use crate::embed::host::{HostState, UserAuthHost};
use crate::embed::imports::wasi::Wasi;
use crate::error::{CallError, Exceeded};
use crate::source::Source;
use crate::time;
use crate::trace::Trace;

/// Maximum nesting of operations; deeper ones are not tracked.
const MAX_DEPTH: usize = 8;
/// Size that a log line counts for in addition to its text: time, severity and the
/// like.
const LINE_BYTES: usize = 128;

/// The context of one instance of the component, for one call: the state that its
/// imports use, and a meter that enforces the [`Limits`](crate::Limits). Created by
/// [`UserAuthHost::ctx`].
///
/// It is part of the `T` of a [`wasmtime::Store<T>`], where the imports find it through
/// [`UserAuthView`](crate::UserAuthView); a `Store<UserAuthCtx>` works too. The meter
/// counts from the creation of the context, so an instance that is reused for another
/// call has less left, and that call can read what the first left in memory: create a
/// new instance and context for each call, which costs a few microseconds.
///
/// As a [`ResourceLimiter`] it bounds memory, tables and instances:
/// [`limit_store`](crate::limit_store) installs it in a store.
pub struct UserAuthCtx {
    host: UserAuthHost,
    client: ClientHandle,
    /// The address that the call came from.
    source: Option<String>,
    trace: Trace,
    /// The operations in progress, each called by the one before it.
    running: Vec<Running>,
    pub(crate) wasi: Wasi,
    meter: Meter,
}

/// Gives access to the [`UserAuthCtx`] in the `T` of a [`Store<T>`](wasmtime::Store).
///
/// ```
/// use user_auth_host::{UserAuthCtx, UserAuthView};
///
/// struct MyState {
///     user_auth: UserAuthCtx,
///     // the program's other data
/// }
///
/// impl UserAuthView for MyState {
///     fn user_auth(&mut self) -> &mut UserAuthCtx {
///         &mut self.user_auth
///     }
/// }
/// ```
pub trait UserAuthView: Send {
    /// Returns the context of the instance in this store.
    fn user_auth(&mut self) -> &mut UserAuthCtx;
}

impl UserAuthView for UserAuthCtx {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        self
    }
}

impl<T: UserAuthView + ?Sized> UserAuthView for Box<T> {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        T::user_auth(self)
    }
}

/// An operation in progress.
pub(crate) struct Running {
    name: String,
    began: Instant,
    pub(crate) span: Span,
}

#[derive(Default)]
struct Meter {
    host_calls: u32,
    store_bytes: usize,
    operations: u32,
    notification_bytes: usize,
    log_bytes: usize,
    /// Number of epoch ticks that the instance has seen.
    ticks: u32,
    /// Time spent waiting for the host, which is not charged to the instance.
    credit: Duration,
    memory_bytes: usize,
    exceeded: Option<Exceeded>,
}

impl UserAuthHost {
    /// Returns the context of one instance, for one call: for the `T` of a
    /// [`wasmtime::Store<T>`]. It belongs to the trace of the current task.
    pub fn ctx(&self) -> UserAuthCtx {
        UserAuthCtx::new(self.clone(), Arc::new(NoClient), None)
    }
}

impl UserAuthCtx {
    /// Creates a context, which counts as a live instance until it is dropped.
    pub(crate) fn new(host: UserAuthHost, client: ClientHandle, source: Option<String>) -> Self {
        host.shared().metrics.instances.enter();
        Self {
            host,
            client,
            source,
            trace: Trace::current(),
            running: Vec::new(),
            wasi: Wasi::default(),
            meter: Meter::default(),
        }
    }

    /// Sends the component's notifications for the MCP client of the call to this
    /// client. They are dropped unless this is called.
    pub fn with_client(mut self, client: ClientHandle) -> Self {
        self.client = client;
        self
    }

    /// Sets the IP address that the call comes from, for the audit log and for fair
    /// scheduling: sources take turns for password hashes. The default is `local`. The
    /// component learns the address only through the arguments of its functions.
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the state shared by all instances.
    pub fn host(&self) -> &UserAuthHost {
        &self.host
    }

    /// Returns why a call into the component ended without a response, given its error:
    /// a limit or a trap. Counts and logs the failure, so call it once for each.
    pub fn failure(&self, error: &wasmtime::Error) -> CallError {
        if let Some(exceeded) = self.meter.exceeded {
            return self.failed(exceeded.into());
        }
        debug!("{error:?}");
        self.failed(CallError::Trapped(error.root_cause().to_string()))
    }

    /// Counts and logs a call that was abandoned after
    /// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call), and returns
    /// [`CallError::OutOfTime`].
    pub fn timed_out(&self) -> CallError {
        self.failed(CallError::OutOfTime)
    }

    fn failed(&self, failure: CallError) -> CallError {
        let instances = &self.shared().metrics.instances;
        instances.trapped.fetch_add(1, Relaxed);
        error!(error = %failure, "a call was aborted");
        failure
    }

    pub(crate) fn shared(&self) -> &Arc<HostState> {
        self.host.shared()
    }

    /// Returns the source that is charged for the work.
    pub(crate) fn source(&self) -> Source {
        Source::of(self.source.as_deref())
    }

    pub(crate) fn client(&self) -> &ClientHandle {
        &self.client
    }

    /// Returns the span of the operation in progress.
    pub(crate) fn span(&self) -> &Span {
        match self.running.last() {
            Some(running) => &running.span,
            None => self.trace.span(),
        }
    }

    /// Records the start of an operation.
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

    /// Ends the operation that began last, if it has this name.
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
        // Parsed and serialised again, since the component's JSON may span several
        // lines.
        let input = text(|audit| &audit.input).and_then(|input| serde_json::from_str(input).ok());
        log.write(Line {
            time: time::now(),
            operation,
            outcome,
            code,
            duration_us,
            credential: audit.map(|audit| credential(audit.credential)),
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

    /// Counts bytes sent to or received from the store; `Err` traps the component.
    pub(crate) fn count_store_bytes(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.meter.store_bytes = self.meter.store_bytes.saturating_add(bytes);
        if self.meter.store_bytes <= self.host.limits().store_bytes_per_call {
            return Ok(());
        }
        self.meter.exceeded = Some(Exceeded::StoreBytes);
        Err(wasmtime::Error::msg("too many bytes read and written"))
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

    /// Returns whether a notification of this size may still be sent, and counts it.
    pub(crate) fn may_send(&mut self, bytes: usize) -> bool {
        let sent = self.meter.notification_bytes.saturating_add(bytes);
        if sent > self.host.limits().notification_bytes_per_call {
            return false;
        }
        self.meter.notification_bytes = sent;
        true
    }

    /// Returns whether one more log line with a text of this size may be written, and
    /// counts it. Limits lines that the component logs or can cause at will.
    pub(crate) fn may_log(&mut self, bytes: usize) -> bool {
        let limit = self.host.limits().log_bytes_per_call;
        let line = bytes.saturating_add(LINE_BYTES);
        let logged = self.meter.log_bytes.saturating_add(line);
        if logged > limit && self.meter.log_bytes <= limit {
            warn!("a call logs too much; the rest is omitted");
        }
        self.meter.log_bytes = logged;
        logged <= limit
    }

    /// Waits for work of the host, without charging the instance's processor time.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        // The instance sees at most one tick for the wait, however long it took.
        let tick = self.host.limits().epoch_tick;
        self.meter.credit += started.elapsed().min(tick);
        result
    }

    /// Handles an epoch tick during the instance's run: yields to other tasks, or ends
    /// the call at its limit.
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

impl WasiView for UserAuthCtx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view(self.host.limits())
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
        if !enabled!(tracing::Level::DEBUG) {
            return;
        }
        let printed = self.wasi.printed();
        if !printed.is_empty() {
            debug!(target: "component", printed = %String::from_utf8_lossy(&printed), "printed");
        }
    }
}
