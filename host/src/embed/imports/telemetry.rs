//! The interface `telemetry`, which writes to the log and the metrics, and reads the
//! metrics.

use tracing::{debug, error, field, info, warn};

use crate::embed::bindings::user_auth::plugin::telemetry::{
    Host, Metrics, OperationAudit, OperationEvent, Severity,
};
use crate::embed::ctx::UserAuthCtx;
use crate::outcome::{ErrorCode, Outcome};
use crate::trace::TARGET;

/// Maximum length of an operation name that is kept, since metrics keep it forever.
const NAME_BYTES: usize = 64;
/// Maximum length of an id in a line of the audit log.
const ID_BYTES: usize = 256;

impl Host for UserAuthCtx {
    fn log(&mut self, severity: Severity, message: String, fields: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        if !self.may_log(message.len() + fields.len()) {
            return Ok(());
        }
        match severity {
            Severity::Debug => debug!(target: "component", fields, "{message}"),
            Severity::Info => info!(target: "component", fields, "{message}"),
            Severity::Warn => warn!(target: "component", fields, "{message}"),
            Severity::Error => error!(target: "component", fields, "{message}"),
        }
        Ok(())
    }

    fn operation_began(&mut self, operation: String) -> wasmtime::Result<bool> {
        self.count_host_call()?;
        self.begin_operation(shortened(operation, NAME_BYTES));
        Ok(self.shared().audit_log.is_some())
    }

    fn operation_ended(&mut self, mut event: OperationEvent) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.count_operation()?;
        event.operation = shortened(event.operation, NAME_BYTES);
        let code = event.code;
        let outcome = Outcome::of(code);
        if let Some(running) = self.end_operation(&event.operation) {
            if let Some(code) = code {
                running.span.record("error.code", code);
            }
            // Only unavailability is an error of the service.
            if outcome == Outcome::Error(ErrorCode::ResourceUnavailable) {
                running.span.record("otel.status_code", "ERROR");
            }
            debug!(
                target: TARGET,
                parent: self.span(),
                operation = field::display(&event.operation),
                outcome = outcome.name(),
                duration_us = event.duration_us,
                "operation ended"
            );
        }
        let mut audit = event.audit.take().map(bounded);
        if let Some(audit) = &mut audit {
            let length = audit.input.as_ref().map_or(0, String::len);
            audit.input = audit.input.take().filter(|_| self.may_log(length));
        }
        let name = &event.operation;
        self.audit(
            name,
            outcome.name(),
            code,
            event.duration_us,
            audit.as_ref(),
        );
        self.shared().metrics.operation_ended(event);
        Ok(())
    }

    fn audited(&mut self, record: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        // The record itself is safe in the store, whatever happens to its line.
        if self.may_log(record.len()) {
            info!(target: "audit", record, "audited");
        }
        Ok(())
    }

    fn snapshot(&mut self) -> wasmtime::Result<Metrics> {
        self.count_host_call()?;
        Ok(self.host().metrics())
    }
}

/// Truncates the caller and the account to the length that a well-behaved component
/// uses for ids.
fn bounded(audit: OperationAudit) -> OperationAudit {
    let short = |id: Option<String>| id.map(|id| shortened(id, ID_BYTES));
    OperationAudit {
        actor: short(audit.actor),
        session_id: short(audit.session_id),
        account: short(audit.account),
        ..audit
    }
}

/// Returns the beginning of a text, in memory of that size.
fn shortened(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text.shrink_to_fit();
    text
}
