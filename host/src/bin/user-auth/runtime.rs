//! The environment of every command: the configuration, the log and the threads.

use std::process::ExitCode;

use tokio::runtime::{Handle, Runtime};
use tracing::{Level, warn};
use url::Url;
use user_auth_host::trace::otlp::Otlp;

use crate::config::{Config, Flags, Loaded};
use crate::failure::Failure;
use crate::output::logging;

/// Number of tasks that a thread runs before it polls sockets and timers. A component
/// that loops occupies its thread for one epoch tick at a time, and with tokio's
/// default of 61 everything else would wait for that many ticks.
const EVENT_INTERVAL: u32 = 8;

/// Loads the configuration, and runs the command, with tracing if that is configured.
/// `level` is the log level unless the configuration sets another.
pub(crate) fn start<F>(
    flags: &Flags,
    level: Level,
    command: impl FnOnce(Config) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let loaded = Config::load(flags)?;
    let traces = loaded.config.logging.traces_url()?;
    let runtime = build()?;
    let traces = traces.as_ref().map(|url| (url, runtime.handle()));
    let (config, spans) = begin_log(loaded, level, traces)?;
    let result = runtime.block_on(command(config));
    if let Some(spans) = spans {
        spans.finish();
    }
    // A thread may be blocked in a read of standard input, which cannot be interrupted.
    runtime.shutdown_background();
    result
}

/// Loads the configuration for a command that only displays it.
pub(crate) fn configure(flags: &Flags, level: Level) -> Result<Config, Failure> {
    let (config, _) = begin_log(Config::load(flags)?, level, None)?;
    Ok(config)
}

/// Starts the log, beginning with the warnings about the configuration.
fn begin_log(
    loaded: Loaded,
    level: Level,
    traces: Option<(&Url, &Handle)>,
) -> Result<(Config, Option<Otlp>), Failure> {
    let Loaded { config, warnings } = loaded;
    let spans = logging::start(level, &config.logging, traces)?;
    for warning in warnings {
        warn!("{warning}");
    }
    Ok((config, spans))
}

/// Builds the runtime: as many threads as there are processors.
pub(crate) fn build() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()
        .map_err(|error| Failure::start(format!("the threads cannot be started: {error}")))
}
