//! `telemetry`: to the log, and to and from the metrics.

use tracing::{debug, error, info, warn};

use crate::bindings::user_auth::plugin::telemetry::{Host, Metrics, OperationEvent, Severity};
use crate::instance::State;

impl Host for State {
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

    fn operation_ended(&mut self, event: OperationEvent) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.host().metrics.operation_ended(event);
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
        Ok(self.host().snapshot())
    }
}
