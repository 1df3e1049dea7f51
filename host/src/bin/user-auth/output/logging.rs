//! The log on standard error: readable on a terminal, JSON otherwise.

mod text;

use std::env;
use std::io::{self, IsTerminal as _};

use tokio::runtime::Handle;
use tracing::Level;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};
use url::Url;
use user_auth_host::printable::{printable, printable_json};
use user_auth_host::trace::{TARGET, otlp::Otlp};

use crate::config::{Format, Logging};
use crate::failure::Failure;

/// The modules whose normal events are shown by commands that log only warnings: messages
/// that are delivered to the log, and new databases, which may come from a misspelt path.
const ALWAYS_SHOWN: [&str; 2] = [
    "user_auth_host::delivery::log",
    "user_auth_host::store::sqlite::schema",
];

/// The module whose normal events are shown at a terminal, where a person waits for the
/// compiler, and scripts stay quiet.
const SHOWN_AT_TERMINAL: &str = "user_auth_host::plugin::loader";

/// The first character of terminal escape sequences.
const ESCAPE: &str = "\u{1b}";

/// Starts the log. Its level comes from `RUST_LOG`, or else from the configuration, or
/// else from `default`. Spans are sent to `traces`, whatever the level, by tasks on the
/// runtime passed with it.
pub(crate) fn start(
    default: Level,
    config: &Logging,
    traces: Option<(&Url, &Handle)>,
) -> Result<Option<Otlp>, Failure> {
    let is_terminal = io::stderr().is_terminal();
    let filter = filter(default, config.level.map(Level::from), is_terminal)?;
    let is_text = match config.format {
        Format::Auto => is_terminal,
        Format::Json => false,
        Format::Text => true,
    };
    let has_colour = is_text && is_terminal && crate::output::wants_colour();
    let log = fmt::layer().with_writer(move || Printable {
        is_text,
        has_colour,
    });
    let log = if is_text {
        log.with_ansi(has_colour).event_format(text::Text).boxed()
    } else {
        // The innermost span identifies the request of a line.
        log.json().flatten_event(true).with_span_list(false).boxed()
    };
    let spans = traces
        .map(|(url, runtime)| Otlp::start(url, runtime.clone()).map_err(Failure::start))
        .transpose()?;
    let layer = spans.as_ref().map(|spans| {
        tracing_opentelemetry::layer()
            .with_tracer(spans.tracer())
            // The source location of a span is of no use to an operator.
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, Level::DEBUG))
            .with_filter(filter_fn(|metadata| metadata.is_span()))
    });
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(layer)
        .init();
    Ok(spans)
}

/// Standard error, which gets events one by one and complete. Text in an event that a
/// caller may have chosen can neither end the line nor change how it is read.
struct Printable {
    is_text: bool,
    /// Whether events contain escape sequences. They are all ours: those in values are
    /// escaped by the formatter.
    has_colour: bool,
}

impl Printable {
    fn line(&self, event: &str) -> String {
        let event = event.strip_suffix('\n').unwrap_or(event);
        let line = match (self.is_text, self.has_colour) {
            (false, _) => printable_json(event),
            (true, false) => printable(event),
            (true, true) => {
                let parts: Vec<_> = event.split(ESCAPE).map(printable).collect();
                parts.join(ESCAPE).into()
            }
        };
        format!("{line}\n")
    }
}

impl io::Write for Printable {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = self.line(&String::from_utf8_lossy(event));
        io::stderr().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn filter(default: Level, chosen: Option<Level>, is_terminal: bool) -> Result<EnvFilter, Failure> {
    if let Some(directives) = variable("RUST_LOG") {
        return EnvFilter::try_new(&directives)
            .map_err(|error| Failure::start(format!("RUST_LOG is '{directives}': {error}")));
    }
    let level = chosen.unwrap_or(default);
    // Our own code and the component log at that level; libraries, whose debug lines
    // would drown everything else, log only warnings and errors.
    let others = level.min(Level::WARN);
    let mut directives = format!(
        "{others},user_auth={level},user_auth_host={level},component={level},audit={level}"
    );
    if chosen.is_none() {
        let at_terminal = is_terminal.then_some(SHOWN_AT_TERMINAL);
        for target in ALWAYS_SHOWN.into_iter().chain(at_terminal) {
            directives += &format!(",{target}=info");
        }
    }
    EnvFilter::try_new(directives).map_err(Failure::start)
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: &str = "a\n2026 ERROR forged\u{2028}b\u{202e}c\u{85}\u{e0041}";

    fn line(is_text: bool, has_colour: bool, event: &str) -> String {
        let printable = Printable {
            is_text,
            has_colour,
        };
        printable.line(event)
    }

    #[test]
    fn an_event_is_one_line_with_escapes() {
        let shown = r"a\n2026 ERROR forged\u{2028}b\u{202e}c\u{85}\u{e0041}";
        let event = format!("{FORGED}\n");
        assert_eq!(line(true, false, &event), format!("{shown}\n"));
        let coloured = format!("\u{1b}[31m{FORGED}\u{1b}[0m\n");
        let expected = format!("\u{1b}[31m{shown}\u{1b}[0m\n");
        assert_eq!(line(true, true, &coloured), expected);

        let json = serde_json::json!({ "message": FORGED }).to_string() + "\n";
        let written = line(false, false, &json);
        assert!(written.trim_end_matches('\n').is_ascii(), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["message"], FORGED);
    }
}
