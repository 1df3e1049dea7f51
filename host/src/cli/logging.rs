//! The log, on standard error: for people on a terminal, JSON otherwise.

use std::env;
use std::io::{self, IsTerminal as _};

use tracing::Level;
use tracing_subscriber::EnvFilter;

use super::Failure;
use super::config::{Format, Logging};

/// Starts it. `RUST_LOG` says what is logged, or else the configuration, or else
/// `default`.
pub(super) fn start(default: Level, config: &Logging) -> Result<(), Failure> {
    let filter = filter(default, config.level.map(Level::from))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let is_terminal = io::stderr().is_terminal();
    let is_text = match config.format {
        Format::Auto => is_terminal,
        Format::Json => false,
        Format::Text => true,
    };
    if is_text {
        let has_colour = is_terminal && super::show::wants_colour();
        log.with_ansi(has_colour).init();
    } else {
        log.json().flatten_event(true).init();
    }
    Ok(())
}

fn filter(default: Level, chosen: Option<Level>) -> Result<EnvFilter, Failure> {
    if let Some(directives) = variable("RUST_LOG") {
        return EnvFilter::try_new(&directives)
            .map_err(|error| Failure::start(format!("RUST_LOG is '{directives}': {error}")));
    }
    let level = chosen.unwrap_or(default);
    // Our own code and the component at that level; the libraries below, whose
    // debug lines drown everything, say only what went wrong.
    let others = level.min(Level::WARN);
    let mut directives = format!(
        "{others},user_auth={level},user_auth_host={level},component={level},audit={level}"
    );
    if chosen.is_none() {
        // Where messages are delivered to the log, that is where they must be.
        directives += ",user_auth_host::delivery::log=info";
    }
    EnvFilter::try_new(directives).map_err(Failure::start)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
