//! Formats log lines for people: time, severity, event and actor.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::output::{inline, printable};

/// Length of an RFC 3339 time without its fraction of a second.
const SECONDS: usize = "2026-11-22T19:13:18".len();

/// Formats an event as one line.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        time.truncate(SECONDS);
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            write!(writer, "\x1b[2m{time}Z\x1b[0m {} ", coloured(level))?
        } else {
            write!(writer, "{time}Z {level:<5} ")?
        }
        let mut told = Told::default();
        event.record(&mut told);
        let record = told
            .field("record")
            .filter(|_| event.metadata().target() == "audit");
        match record.and_then(audited) {
            Some(line) => writer.write_str(&line)?,
            None => writer.write_str(&told.line())?,
        }
        // For debugging, the line shows the request that it belongs to.
        if level >= Level::DEBUG
            && let Some(scope) = context.event_scope()
        {
            for span in scope.from_root() {
                let extensions = span.extensions();
                let fields = extensions.get::<tracing_subscriber::fmt::FormattedFields<N>>();
                let fields = fields
                    .map(|fields| fields.fields.as_str())
                    .unwrap_or_default();
                write!(
                    writer,
                    " [{} {}]",
                    span.name(),
                    printable(&without_colours(fields))
                )?;
            }
        }
        writeln!(writer)
    }
}

fn coloured(level: Level) -> String {
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    format!("\x1b[{colour}m{level:<5}\x1b[0m")
}

/// Removes the colours from the fields of spans, which would be escaped here.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        let rest = part.split_once('m').map_or(part, |(_, rest)| rest);
        plain + rest
    })
}

/// The content of an event.
#[derive(Default)]
struct Told {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Told {
    fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(known, _)| *known == name);
        field.map(|(_, value)| value.as_str())
    }

    /// Returns the message followed by its fields.
    fn line(&self) -> String {
        let mut line = printable(&self.message);
        for (name, value) in &self.fields {
            let value = printable(value);
            line += &if value.contains(' ') {
                format!("  {name}=\"{value}\"")
            } else {
                format!("  {name}={value}")
            };
        }
        line
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, value.to_owned())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Returns an audit record in words, or `None` if the text is not a record.
fn audited(record: &str) -> Option<String> {
    let record: Value = serde_json::from_str(record).ok()?;
    let text = |name: &str| record[name].as_str().map(printable);
    let (account, actor) = (text("account")?, text("actor")?);
    let mut line = format!("{} {}", text("operation")?, text("outcome")?);
    // Records about roles and signing keys have an account of zeros.
    if !account.trim_start_matches('0').is_empty() {
        line += &format!(": account {account}");
    }
    if actor == account {
        line += ", by its owner"
    } else {
        line += &format!(", by {actor}")
    }
    if let Some(source) = text("source").filter(|source| !source.is_empty()) {
        line += &format!(" from {source}");
    }
    if record["details"]
        .as_object()
        .is_some_and(|details| !details.is_empty())
    {
        line += &format!("  {}", inline(&record["details"]));
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_audit_record_is_a_sentence() {
        let id = "d1e91085eb9f95e47fb40870bc0733d8";
        let mut record = json!({
            "seq": 3, "at": 1, "account": id, "operation": "login", "outcome": "success",
            "actor": id, "source": "127.0.0.1", "details": {"session_id": "83"},
            "previous": "c6", "seal": "c5",
        });
        assert_eq!(
            audited(&record.to_string()).unwrap(),
            format!("login success: account {id}, by its owner from 127.0.0.1  session_id=83")
        );
        record["account"] = "0".repeat(32).into();
        record["actor"] = "operator".into();
        record["operation"] = "define_role".into();
        record["details"] = json!({"role": "a\u{1b}[2J\u{202e}\n"});
        assert_eq!(
            audited(&record.to_string()).unwrap(),
            "define_role success, by operator from 127.0.0.1  role=a\\u{1b}[2J\\u{202e}\\n"
        );
        assert_eq!(audited("{}"), None);
        assert_eq!(audited("no record"), None);
    }

    #[test]
    fn span_fields_lose_their_colours() {
        let coloured = "\x1b[3mtrace_id\x1b[0m\x1b[2m=\x1b[0mee m";
        assert_eq!(without_colours(coloured), "trace_id=ee m");
        assert_eq!(without_colours("plain"), "plain");
    }

    #[test]
    fn fields_follow_the_message_and_cannot_begin_a_line() {
        let told = Told {
            message: "the store\nfailed".to_owned(),
            fields: vec![
                ("call", "get".to_owned()),
                ("error", "it is\u{1b}[2J full".to_owned()),
            ],
        };
        assert_eq!(
            told.line(),
            "the store\\nfailed  call=get  error=\"it is\\u{1b}[2J full\""
        );
    }
}
